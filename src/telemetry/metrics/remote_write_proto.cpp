// SPDX-License-Identifier: Apache-2.0
#include "metrics/remote_write_proto.h"

namespace tocayo::metrics::proto {

void add_span(Reader& message, const char* field, std::vector<Span>& out) {
  Reader span = reader(get_bytes(message, field));
  Span& result = out.emplace_back();
  while (span.next()) {
    switch (span.tag()) {
      case 1: result.offset = get_sint32(span, "BucketSpan.offset"); break;
      case 2: result.length = static_cast<std::uint32_t>(get_uint64(span, "BucketSpan.length")); break;
      default: span.skip();
    }
  }
}

void read_histogram(std::string_view bytes, HistogramParts& parts, std::int64_t& time, std::int64_t& start_time) {
  parts.clear();
  time = start_time = 0;
  Reader message = reader(bytes);
  while (message.next()) {
    switch (message.tag()) {
      case 1:
        parts.count_int = get_uint64(message, "Histogram.count_int");
        parts.is_float = false;
        break;
      case 2:
        parts.count_float = get_double(message, "Histogram.count_float");
        parts.is_float = true;
        break;
      case 3: parts.sum = get_double(message, "Histogram.sum"); break;
      case 4: parts.schema = get_sint32(message, "Histogram.schema"); break;
      case 5: parts.zero_threshold = get_double(message, "Histogram.zero_threshold"); break;
      case 6: parts.zero_count_int = get_uint64(message, "Histogram.zero_count_int"); break;
      case 7: parts.zero_count_float = get_double(message, "Histogram.zero_count_float"); break;
      case 8: add_span(message, "Histogram.negative_spans", parts.negative_spans); break;
      case 9: add_sint64s(message, "Histogram.negative_deltas", parts.negative_deltas); break;
      case 10: add_doubles(message, "Histogram.negative_counts", parts.negative_counts); break;
      case 11: add_span(message, "Histogram.positive_spans", parts.positive_spans); break;
      case 12: add_sint64s(message, "Histogram.positive_deltas", parts.positive_deltas); break;
      case 13: add_doubles(message, "Histogram.positive_counts", parts.positive_counts); break;
      case 14: {
        const std::uint64_t hint = get_uint64(message, "Histogram.reset_hint");
        parts.hint = hint <= 3 ? static_cast<ResetHint>(hint) : ResetHint::unknown;
        break;
      }
      case 15: time = get_int64(message, "Histogram.timestamp"); break;
      case 16: add_doubles(message, "Histogram.custom_values", parts.custom_values); break;
      case 17: start_time = get_int64(message, "Histogram.start_timestamp"); break;
      default: message.skip();
    }
  }
}

}  // namespace tocayo::metrics::proto
