// SPDX-License-Identifier: Apache-2.0
#include "metrics/exposition_protobuf.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "core/labels.h"
#include "metrics/remote_write_proto.h"

namespace tocayo::metrics {

using namespace proto;

namespace {

TimestampMs read_timestamp(std::string_view bytes) {
  std::int64_t seconds = 0;
  std::int64_t nanos = 0;
  Reader message = reader(bytes);
  while (message.next()) {
    switch (message.tag()) {
      case 1: seconds = get_int64(message, "Timestamp.seconds"); break;
      case 2: nanos = get_int64(message, "Timestamp.nanos"); break;
      default: message.skip();
    }
  }
  // As protobuf's own range: years 1 to 9999. Beyond it the product could overflow.
  constexpr std::int64_t kMaxSeconds = 253'402'300'799;
  if (seconds > kMaxSeconds || seconds < -62'135'596'800 || nanos < 0 || nanos > 999'999'999) {
    throw WireError{"timestamp is out of range"};
  }
  return seconds * 1000 + nanos / 1'000'000;
}

ExpositionLabel read_pair(std::string_view bytes) {
  ExpositionLabel label;
  Reader message = reader(bytes);
  while (message.next()) {
    switch (message.tag()) {
      case 1: label.name = get_bytes(message, "LabelPair.name"); break;
      case 2: label.value = get_bytes(message, "LabelPair.value"); break;
      default: message.skip();
    }
  }
  if (!is_valid_utf8(label.name) || !is_valid_utf8(label.value)) throw WireError{"a label is not valid UTF-8"};
  return label;
}

// Gauge, Untyped: {value = 1}.
double read_value(std::string_view bytes) {
  double value = 0;
  Reader message = reader(bytes);
  while (message.next()) {
    if (message.tag() == 1) {
      value = get_double(message, "value");
    } else {
      message.skip();
    }
  }
  return value;
}

double canonical_nan(double value) {
  return std::isnan(value) && !is_stale(value) ? std::numeric_limits<double>::quiet_NaN() : value;
}

}  // namespace

ExpositionProtobufParser::ExpositionProtobufParser(std::string_view body, ExpositionProtobufOptions options)
    : body_(body), options_(options) {}

Error ExpositionProtobufParser::located(std::string_view what) const {
  return {ErrorKind::bad_input,
          fmt::format("metric family {} at byte {}: {}",
                      family_.name.empty() ? std::string("(unnamed)") : go_quote(family_.name), family_.offset, what)};
}

Result<ExpositionEvent> ExpositionProtobufParser::next() {
  if (finished_) return ExpositionEvent::end;
  Result<ExpositionEvent> event = ExpositionEvent::end;
  try {
    event = emit();
  } catch (const WireError& error) {
    event = std::unexpected(located(error.text));
  } catch (const protozero::exception& error) {
    event = std::unexpected(located(fmt::format("malformed protobuf ({})", error.what())));
  }
  if (!event || *event == ExpositionEvent::end) finished_ = true;
  return event;
}

Result<ExpositionEvent> ExpositionProtobufParser::emit() {
  static constexpr std::string_view kTypes[] = {"counter", "gauge",     "summary",
                                                "unknown", "histogram", "gaugehistogram"};
  for (;;) {
    switch (stage_) {
      case Stage::family:
        if (!TRY(next_family())) return ExpositionEvent::end;
        if (family_.metrics.empty()) continue;
        stage_ = Stage::help;
        text_ = family_.help;
        return ExpositionEvent::help;
      case Stage::help:
        stage_ = Stage::type;
        text_ = kTypes[static_cast<std::size_t>(family_.type)];
        return ExpositionEvent::type;
      case Stage::type:
        stage_ = Stage::unit;
        if (family_.unit.empty()) continue;
        text_ = family_.unit;
        return ExpositionEvent::unit;
      case Stage::unit:
        stage_ = Stage::metrics;
        metric_index_ = 0;
        metric_open_ = false;
        continue;
      case Stage::metrics: break;
    }
    if (!metric_open_) {
      if (metric_index_ == family_.metrics.size()) {
        stage_ = Stage::family;
        continue;
      }
      read_metric(family_.metrics[metric_index_++]);
      metric_open_ = true;
      part_ = first_part();
      bucket_ = 0;
    }
    if (part_ == Part::done) {
      metric_open_ = false;
      continue;
    }
    const Part part = part_;
    exemplars_.clear();
    is_histogram_ = part == Part::native;
    const bool simple = family_.type == Type::counter || family_.type == Type::gauge || family_.type == Type::untyped;
    switch (part) {
      case Part::native:
        set_series("", "", 0);
        if (metric_.exemplars.empty()) {
          for (const Bucket& bucket : metric_.buckets) read_exemplar(bucket.exemplar, true);
        } else {
          for (const std::string_view exemplar : metric_.exemplars) read_exemplar(exemplar, true);
        }
        part_ = part_after(part);
        return ExpositionEvent::histogram;
      case Part::count:
        set_series(simple ? "" : "_count", "", 0);
        value_ = canonical_nan(simple ? metric_.value : metric_.count);
        if (simple) read_exemplar(metric_.exemplar, false);
        part_ = simple ? Part::done : Part::sum;
        return ExpositionEvent::sample;
      case Part::sum:
        set_series("_sum", "", 0);
        value_ = canonical_nan(metric_.sum);
        part_ = part_after(part);
        return ExpositionEvent::sample;
      case Part::bucket: {
        const Bucket& bucket = metric_.buckets[bucket_++];
        const bool summary = family_.type == Type::summary;
        set_series(summary ? "" : "_bucket", summary ? "quantile" : "le", bucket.bound);
        value_ = canonical_nan(bucket.count);
        read_exemplar(bucket.exemplar, false);
        part_ = part_after(part);
        return ExpositionEvent::sample;
      }
      case Part::inf_bucket:
        set_series("_bucket", "le", std::numeric_limits<double>::infinity());
        value_ = metric_.count;
        part_ = Part::done;
        return ExpositionEvent::sample;
      case Part::done: break;
    }
  }
}

ExpositionProtobufParser::Part ExpositionProtobufParser::first_part() const {
  const bool histogram = family_.type == Type::histogram || family_.type == Type::gauge_histogram;
  return histogram && metric_.native ? Part::native : Part::count;
}

ExpositionProtobufParser::Part ExpositionProtobufParser::part_after(Part part) const {
  if (part == Part::native) return options_.classic_too && !metric_.buckets.empty() ? Part::count : Part::done;
  if (bucket_ < metric_.buckets.size()) return Part::bucket;
  if (family_.type == Type::summary || metric_.has_inf) return Part::done;
  return Part::inf_bucket;
}

// The next length-prefixed message; false at the end of the body.
Result<bool> ExpositionProtobufParser::next_family() {
  family_.name = family_.help = family_.unit = {};
  family_.type = Type::counter;
  family_.metrics.clear();
  family_.offset = at_;
  if (at_ == body_.size()) return false;
  const char* at = body_.data() + at_;
  const char* const end = body_.data() + body_.size();
  const std::uint64_t length = protozero::decode_varint(&at, end);
  if (length > static_cast<std::uint64_t>(end - at)) return std::unexpected(located("the body ends inside a message"));
  read_family({at, static_cast<std::size_t>(length)});
  at_ = static_cast<std::size_t>(at - body_.data()) + static_cast<std::size_t>(length);
  if (family_.name.empty() || !is_valid_utf8(family_.name)) return std::unexpected(located("invalid metric name"));
  if (!is_valid_utf8(family_.help)) return std::unexpected(located("invalid help: not valid UTF-8"));
  if (!is_valid_utf8(family_.unit)) return std::unexpected(located("invalid unit: not valid UTF-8"));
  return true;
}

void ExpositionProtobufParser::read_family(std::string_view bytes) {
  Reader message = reader(bytes);
  while (message.next()) {
    switch (message.tag()) {
      case 1: family_.name = get_bytes(message, "MetricFamily.name"); break;
      case 2: family_.help = get_bytes(message, "MetricFamily.help"); break;
      case 3: {
        const std::uint64_t type = get_uint64(message, "MetricFamily.type");
        if (type > 5) throw WireError{fmt::format("unknown metric type {}", type)};
        family_.type = static_cast<Type>(type);
        break;
      }
      case 4: family_.metrics.push_back(get_bytes(message, "MetricFamily.metric")); break;
      case 5: family_.unit = get_bytes(message, "MetricFamily.unit"); break;
      default: message.skip();
    }
  }
}

void ExpositionProtobufParser::read_metric(std::string_view bytes) {
  metric_.time.reset();
  metric_.start_time = 0;
  metric_.value = metric_.count = metric_.sum = 0;
  metric_.exemplar = {};
  metric_.buckets.clear();
  metric_.exemplars.clear();
  metric_.has_inf = metric_.native = false;
  metric_labels_.clear();
  const bool histogram = family_.type == Type::histogram || family_.type == Type::gauge_histogram;
  Reader message = reader(bytes);
  while (message.next()) {
    switch (message.tag()) {
      case 1: metric_labels_.push_back(read_pair(get_bytes(message, "Metric.label"))); break;
      case 2: {
        const std::string_view gauge = get_bytes(message, "Metric.gauge");
        if (family_.type == Type::gauge) metric_.value = read_value(gauge);
        break;
      }
      case 3: {
        const std::string_view bytes_of_counter = get_bytes(message, "Metric.counter");
        if (family_.type != Type::counter) break;
        Reader counter = reader(bytes_of_counter);
        while (counter.next()) {
          switch (counter.tag()) {
            case 1: metric_.value = get_double(counter, "Counter.value"); break;
            case 2: metric_.exemplar = get_bytes(counter, "Counter.exemplar"); break;
            case 3: metric_.start_time = read_timestamp(get_bytes(counter, "Counter.start_timestamp")); break;
            default: counter.skip();
          }
        }
        break;
      }
      case 4: {
        const std::string_view summary = get_bytes(message, "Metric.summary");
        if (family_.type == Type::summary) read_summary(summary);
        break;
      }
      case 5: {
        const std::string_view untyped = get_bytes(message, "Metric.untyped");
        if (family_.type == Type::untyped) metric_.value = read_value(untyped);
        break;
      }
      case 6: metric_.time = get_int64(message, "Metric.timestamp_ms"); break;
      case 7: {
        const std::string_view bytes_of_histogram = get_bytes(message, "Metric.histogram");
        if (histogram) read_histogram(bytes_of_histogram);
        break;
      }
      default: message.skip();
    }
  }
  if (metric_.time == 0) metric_.time.reset();  // an absent field and 0 are the same on the wire
}

void ExpositionProtobufParser::read_summary(std::string_view bytes) {
  Reader message = reader(bytes);
  while (message.next()) {
    switch (message.tag()) {
      case 1: metric_.count = static_cast<double>(get_uint64(message, "Summary.sample_count")); break;
      case 2: metric_.sum = get_double(message, "Summary.sample_sum"); break;
      case 3: {
        Bucket quantile;
        Reader entry = reader(get_bytes(message, "Summary.quantile"));
        while (entry.next()) {
          switch (entry.tag()) {
            case 1: quantile.bound = get_double(entry, "Quantile.quantile"); break;
            case 2: quantile.count = get_double(entry, "Quantile.value"); break;
            default: entry.skip();
          }
        }
        metric_.buckets.push_back(quantile);
        break;
      }
      case 4: metric_.start_time = read_timestamp(get_bytes(message, "Summary.start_timestamp")); break;
      default: message.skip();
    }
  }
}

namespace {

struct RawBucket {
  double bound = 0;
  double count = 0;
  std::string_view exemplar;
};

RawBucket read_bucket(std::string_view bytes) {
  RawBucket bucket;
  double count_float = 0;
  Reader message = reader(bytes);
  while (message.next()) {
    switch (message.tag()) {
      case 1: bucket.count = static_cast<double>(get_uint64(message, "Bucket.cumulative_count")); break;
      case 2: bucket.bound = get_double(message, "Bucket.upper_bound"); break;
      case 3: bucket.exemplar = get_bytes(message, "Bucket.exemplar"); break;
      case 4: count_float = get_double(message, "Bucket.cumulative_count_float"); break;
      default: message.skip();
    }
  }
  if (count_float > 0) bucket.count = count_float;
  return bucket;
}

}  // namespace

void ExpositionProtobufParser::read_histogram(std::string_view bytes) {
  parts_.clear();
  Reader message = reader(bytes);
  while (message.next()) {
    switch (message.tag()) {
      case 1: parts_.count_int = get_uint64(message, "Histogram.sample_count"); break;
      case 2: parts_.sum = get_double(message, "Histogram.sample_sum"); break;
      case 3: {
        const RawBucket bucket = read_bucket(get_bytes(message, "Histogram.bucket"));
        metric_.buckets.push_back({bucket.bound, bucket.count, bucket.exemplar});
        break;
      }
      case 4: parts_.count_float = get_double(message, "Histogram.sample_count_float"); break;
      case 5: parts_.schema = get_sint32(message, "Histogram.schema"); break;
      case 6: parts_.zero_threshold = get_double(message, "Histogram.zero_threshold"); break;
      case 7: parts_.zero_count_int = get_uint64(message, "Histogram.zero_count"); break;
      case 8: parts_.zero_count_float = get_double(message, "Histogram.zero_count_float"); break;
      case 9: add_span(message, "Histogram.negative_span", parts_.negative_spans); break;
      case 10: add_sint64s(message, "Histogram.negative_delta", parts_.negative_deltas); break;
      case 11: add_doubles(message, "Histogram.negative_count", parts_.negative_counts); break;
      case 12: add_span(message, "Histogram.positive_span", parts_.positive_spans); break;
      case 13: add_sint64s(message, "Histogram.positive_delta", parts_.positive_deltas); break;
      case 14: add_doubles(message, "Histogram.positive_count", parts_.positive_counts); break;
      case 15: metric_.start_time = read_timestamp(get_bytes(message, "Histogram.start_timestamp")); break;
      case 16: metric_.exemplars.push_back(get_bytes(message, "Histogram.exemplars")); break;
      default: message.skip();
    }
  }
  parts_.is_float = parts_.count_float > 0 || parts_.zero_count_float > 0;
  parts_.hint = family_.type == Type::gauge_histogram ? ResetHint::gauge : ResetHint::unknown;
  metric_.count = parts_.count_float > 0 ? parts_.count_float : static_cast<double>(parts_.count_int);
  metric_.sum = parts_.sum;
  metric_.has_inf =
      !metric_.buckets.empty() && std::isinf(metric_.buckets.back().bound) && metric_.buckets.back().bound > 0;
  metric_.native = !options_.ignore_native && (!parts_.positive_spans.empty() || !parts_.negative_spans.empty() ||
                                               parts_.zero_threshold > 0 || parts_.zero_count_int > 0);
}

void ExpositionProtobufParser::read_exemplar(std::string_view bytes, bool need_time) {
  if (bytes.empty()) return;
  ExpositionExemplar exemplar;
  Reader message = reader(bytes);
  while (message.next()) {
    switch (message.tag()) {
      case 1: exemplar.labels.push_back(read_pair(get_bytes(message, "Exemplar.label"))); break;
      case 2: exemplar.value = get_double(message, "Exemplar.value"); break;
      case 3: exemplar.time = read_timestamp(get_bytes(message, "Exemplar.timestamp")); break;
      default: message.skip();
    }
  }
  if (need_time && !exemplar.time) return;
  exemplars_.push_back(std::move(exemplar));
}

// Name, labels and the bytes that identify the series, for the part being returned.
void ExpositionProtobufParser::set_series(std::string_view suffix, std::string_view bound_label, double bound) {
  if (suffix.empty()) {
    name_ = family_.name;
  } else {
    name_buffer_.assign(family_.name);
    name_buffer_.append(suffix);
    name_ = name_buffer_;
  }
  labels_ = metric_labels_;
  if (!bound_label.empty()) {
    bound_buffer_ = openmetrics_number(bound);
    labels_.push_back({bound_label, bound_buffer_});
  }
  series_.assign(name_);
  for (const ExpositionLabel& label : labels_) {
    series_.push_back('\xff');  // not a byte of UTF-8
    series_.append(label.name);
    series_.push_back('\xff');
    series_.append(label.value);
  }
}

}  // namespace tocayo::metrics
