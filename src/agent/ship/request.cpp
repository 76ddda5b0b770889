// SPDX-License-Identifier: Apache-2.0
#include "agent/ship/request.h"

#include <algorithm>
#include <bit>
#include <protozero/pbf_writer.hpp>
#include <unordered_map>

namespace tocayo::agent {
namespace {

using Writer = protozero::pbf_writer;
using metrics::RemoteWriteVersion;

void add_double(Writer& out, protozero::pbf_tag_type tag, double value) {
  out.add_fixed64(tag, std::bit_cast<std::uint64_t>(value));
}

// Both versions number the types alike.
std::int32_t type_number(std::string_view type) {
  static constexpr std::string_view kTypes[] = {"unknown",        "counter", "gauge", "histogram",
                                                "gaugehistogram", "summary", "info",  "stateset"};
  auto found = std::find(std::begin(kTypes), std::end(kTypes), type);
  return found == std::end(kTypes) ? 0 : static_cast<std::int32_t>(found - std::begin(kTypes));
}

void add_buckets(Writer& out, const std::vector<metrics::Span>& spans, const std::vector<double>& buckets, bool integer,
                 protozero::pbf_tag_type first_tag) {
  for (const metrics::Span& span : spans) {
    Writer message(out, first_tag);
    message.add_sint32(1, span.offset);
    message.add_uint32(2, span.length);
  }
  if (buckets.empty()) return;
  if (!integer) {
    out.add_packed_double(first_tag + 2, buckets.begin(), buckets.end());
    return;
  }
  std::vector<std::int64_t> deltas;
  deltas.reserve(buckets.size());
  std::int64_t last = 0;
  for (double bucket : buckets) {
    auto count = static_cast<std::int64_t>(bucket);
    deltas.push_back(count - last);
    last = count;
  }
  out.add_packed_sint64(first_tag + 1, deltas.begin(), deltas.end());
}

// prometheus.Histogram; the 2.0 message has the same fields and 17.
void add_histogram(Writer& series, protozero::pbf_tag_type tag, const metrics::HistogramRow& row,
                   RemoteWriteVersion version) {
  const metrics::FloatHistogram& value = *row.histogram;
  // Counts that came as integers are whole; a stale marker has only its sum.
  bool integer = row.integer;
  Writer out(series, tag);
  if (integer)
    out.add_uint64(1, static_cast<std::uint64_t>(value.count));
  else
    add_double(out, 2, value.count);
  add_double(out, 3, value.sum);
  out.add_sint32(4, value.schema);
  add_double(out, 5, value.zero_threshold);
  if (integer)
    out.add_uint64(6, static_cast<std::uint64_t>(value.zero_count));
  else
    add_double(out, 7, value.zero_count);
  add_buckets(out, value.negative_spans, value.negative_buckets, integer, 8);
  add_buckets(out, value.positive_spans, value.positive_buckets, integer, 11);
  out.add_enum(14, static_cast<std::int32_t>(value.hint));
  out.add_int64(15, row.time);
  if (!value.custom_values.empty()) out.add_packed_double(16, value.custom_values.begin(), value.custom_values.end());
  if (version == RemoteWriteVersion::v2 && row.start_time != 0) out.add_int64(17, row.start_time);
}

void add_samples(Writer& series, const Item& item, RemoteWriteVersion version) {
  for (std::uint32_t i = item.float_begin; i < item.float_begin + item.float_count; ++i) {
    const metrics::FloatRow& row = item.rows->floats[i];
    Writer sample(series, 2);
    add_double(sample, 1, row.value);
    sample.add_int64(2, row.time);
    if (version == RemoteWriteVersion::v2 && row.start_time != 0) sample.add_int64(3, row.start_time);
  }
}

std::string encode_v1(std::span<const Item> items) {
  std::string body;
  Writer out(body);
  for (const Item& item : items) {
    const RecordRows& rows = *item.rows;
    const RecordRows::Series& known = rows.series[item.series];
    Writer series(out, 1);
    auto add_labels = [&rows](Writer& parent, std::uint32_t begin, std::uint32_t count) {
      for (std::uint32_t i = begin; i < begin + count; ++i) {
        std::string_view name = rows.symbols[rows.labels[2 * i]], value = rows.symbols[rows.labels[2 * i + 1]];
        Writer label(parent, 1);
        label.add_string(1, name.data(), name.size());
        label.add_string(2, value.data(), value.size());
      }
    };
    add_labels(series, known.label_begin, known.label_count);
    add_samples(series, item, RemoteWriteVersion::v1);
    for (std::uint32_t i = item.exemplar_begin; i < item.exemplar_begin + item.exemplar_count; ++i) {
      const RecordRows::Exemplar& row = rows.exemplars[i];
      Writer exemplar(series, 3);
      add_labels(exemplar, row.label_begin, row.label_count);
      add_double(exemplar, 2, row.value);
      exemplar.add_int64(3, row.time);
    }
    for (std::uint32_t i = item.histogram_begin; i < item.histogram_begin + item.histogram_count; ++i) {
      add_histogram(series, 4, rows.histograms[i], RemoteWriteVersion::v1);
    }
  }
  return body;
}

// The metadata of a series' family: by its name, or without what a classic histogram, summary or counter adds to it.
const metrics::MetadataRow* find_metadata(const MetadataTable& table, std::string_view metric) {
  if (auto found = table.find(metric); found != table.end()) return &found->second;
  for (std::string_view suffix : {"_bucket", "_count", "_sum", "_total", "_created"}) {
    if (!metric.ends_with(suffix)) continue;
    auto found = table.find(metric.substr(0, metric.size() - suffix.size()));
    if (found != table.end()) return &found->second;
  }
  return nullptr;
}

class SymbolTable {
 public:
  SymbolTable() { of(""); }  // the first one is empty
  std::uint32_t of(std::string_view text) {
    auto [entry, added] = known_.try_emplace(text, static_cast<std::uint32_t>(list_.size()));
    if (added) list_.push_back(text);
    return entry->second;
  }
  const std::vector<std::string_view>& list() const { return list_; }

 private:
  std::unordered_map<std::string_view, std::uint32_t> known_;
  std::vector<std::string_view> list_;
};

std::string encode_v2(std::span<const Item> items, const MetadataTable& metadata) {
  SymbolTable symbols;
  std::string body;
  Writer out(body);
  std::vector<std::uint32_t> references;
  for (const Item& item : items) {
    const RecordRows& rows = *item.rows;
    const RecordRows::Series& known = rows.series[item.series];
    std::string_view metric;
    auto refer = [&](std::uint32_t begin, std::uint32_t count, bool own) {
      references.clear();
      for (std::uint32_t i = begin; i < begin + count; ++i) {
        std::string_view name = rows.symbols[rows.labels[2 * i]], value = rows.symbols[rows.labels[2 * i + 1]];
        if (own && name == kMetricName) metric = value;
        references.push_back(symbols.of(name));
        references.push_back(symbols.of(value));
      }
    };
    Writer series(out, 5);
    refer(known.label_begin, known.label_count, true);
    series.add_packed_uint32(1, references.begin(), references.end());
    add_samples(series, item, RemoteWriteVersion::v2);
    for (std::uint32_t i = item.histogram_begin; i < item.histogram_begin + item.histogram_count; ++i) {
      add_histogram(series, 3, rows.histograms[i], RemoteWriteVersion::v2);
    }
    for (std::uint32_t i = item.exemplar_begin; i < item.exemplar_begin + item.exemplar_count; ++i) {
      const RecordRows::Exemplar& row = rows.exemplars[i];
      Writer exemplar(series, 4);
      refer(row.label_begin, row.label_count, false);
      exemplar.add_packed_uint32(1, references.begin(), references.end());
      add_double(exemplar, 2, row.value);
      exemplar.add_int64(3, row.time);
    }
    if (const metrics::MetadataRow* row = find_metadata(metadata, metric)) {
      Writer message(series, 5);
      message.add_enum(1, type_number(row->type));
      message.add_uint32(3, symbols.of(row->help));
      message.add_uint32(4, symbols.of(row->unit));
    }
  }
  std::string table;
  Writer head(table);
  for (std::string_view symbol : symbols.list()) head.add_string(4, symbol.data(), symbol.size());
  return table + body;
}

}  // namespace

Item Item::take_front(std::size_t count) {
  Item front = *this;
  auto part = [&](std::uint32_t& begin, std::uint32_t& size, std::uint32_t& front_size) {
    front_size = static_cast<std::uint32_t>(std::min<std::size_t>(count, size));
    begin += front_size;
    size -= front_size;
    count -= front_size;
  };
  part(float_begin, float_count, front.float_count);
  part(histogram_begin, histogram_count, front.histogram_count);
  count = samples() == 0 ? exemplar_count : 0;
  part(exemplar_begin, exemplar_count, front.exemplar_count);
  return front;
}

void Item::extend(TimestampMs& min_time, TimestampMs& max_time) const {
  auto take = [&](TimestampMs time) {
    min_time = std::min(min_time, time);
    max_time = std::max(max_time, time);
  };
  for (std::uint32_t i = 0; i < float_count; ++i) take(rows->floats[float_begin + i].time);
  for (std::uint32_t i = 0; i < histogram_count; ++i) take(rows->histograms[histogram_begin + i].time);
  for (std::uint32_t i = 0; i < exemplar_count; ++i) take(rows->exemplars[exemplar_begin + i].time);
}

std::string encode_request(RemoteWriteVersion version, std::span<const Item> items, const MetadataTable& metadata) {
  return version == RemoteWriteVersion::v1 ? encode_v1(items) : encode_v2(items, metadata);
}

std::string encode_metadata_request(std::span<const metrics::MetadataRow> rows) {
  std::string body;
  Writer out(body);
  for (const metrics::MetadataRow& row : rows) {
    Writer message(out, 3);
    message.add_enum(1, type_number(row.type));
    message.add_string(2, row.metric);
    message.add_string(4, row.help);
    message.add_string(5, row.unit);
  }
  return body;
}

std::string_view content_type(RemoteWriteVersion version) {
  // 1.0 receivers that know no parameter must understand it, hence the bare form.
  return version == RemoteWriteVersion::v1 ? "application/x-protobuf"
                                           : "application/x-protobuf;proto=io.prometheus.write.v2.Request";
}
std::string_view version_header(RemoteWriteVersion version) {
  return version == RemoteWriteVersion::v1 ? "0.1.0" : "2.0.0";
}

}  // namespace tocayo::agent
