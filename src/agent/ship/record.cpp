// SPDX-License-Identifier: Apache-2.0
#include "agent/ship/record.h"

#include <zstd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_map>

#include "agent/ship/record_bytes.h"
#include "core/hash.h"

namespace tocayo::agent {
namespace {

using namespace record_bytes;

constexpr char kVersion = 1;

void put_double(std::string& out, double value) {
  auto bits = std::bit_cast<std::uint64_t>(value);  // bit by bit: stale markers survive
  char bytes[8];
  std::memcpy(bytes, &bits, 8);
  out.append(bytes, 8);
}

double read_double(Input& in) {
  std::uint64_t bits = 0;
  const std::string_view bytes = in.take(8);
  if (bytes.size() == 8) std::memcpy(&bits, bytes.data(), 8);
  return std::bit_cast<double>(bits);
}

class Symbols {
 public:
  std::uint32_t of(std::string_view text) {
    auto [entry, added] = known_.try_emplace(std::string(text), static_cast<std::uint32_t>(known_.size()));
    if (added) put_text(table_, text);
    return entry->second;
  }
  void labels(std::string& out, const Labels& labels) {
    put_varint(out, labels.size());
    for (const Label& label : labels) {
      put_varint(out, of(label.name));
      put_varint(out, of(label.value));
    }
  }
  void write(std::string& out) const {
    put_varint(out, known_.size());
    out += table_;
  }

 private:
  std::unordered_map<std::string, std::uint32_t> known_;
  std::string table_;
};

void put_spans(std::string& out, const std::vector<metrics::Span>& spans, const std::vector<double>& buckets) {
  put_varint(out, spans.size());
  for (const metrics::Span& span : spans) {
    put_signed(out, span.offset);
    put_varint(out, span.length);
  }
  put_varint(out, buckets.size());
  for (double bucket : buckets) put_double(out, bucket);
}

void put_histogram(std::string& out, const metrics::HistogramRow& row) {
  const metrics::FloatHistogram& value = *row.histogram;
  out += static_cast<char>((row.integer ? 1 : 0) | static_cast<int>(value.hint) << 1);
  put_signed(out, value.schema);
  for (double number : {value.zero_threshold, value.zero_count, value.count, value.sum}) put_double(out, number);
  put_spans(out, value.positive_spans, value.positive_buckets);
  put_spans(out, value.negative_spans, value.negative_buckets);
  put_varint(out, value.custom_values.size());
  for (double bound : value.custom_values) put_double(out, bound);
}

void read_spans(Input& in, std::vector<metrics::Span>& spans, std::vector<double>& buckets) {
  spans.resize(in.count(2));
  for (metrics::Span& span : spans) {
    span.offset = static_cast<std::int32_t>(in.signed_varint());
    span.length = static_cast<std::uint32_t>(in.varint());
  }
  buckets.resize(in.count(8));
  for (double& bucket : buckets) bucket = read_double(in);
}

void read_histogram(Input& in, metrics::HistogramRow& row) {
  auto value = std::make_shared<metrics::FloatHistogram>();
  std::string_view flags = in.take(1);
  if (flags.empty()) return;
  row.integer = (flags[0] & 1) != 0;
  value->hint = static_cast<metrics::ResetHint>((flags[0] >> 1) & 3);
  value->schema = static_cast<std::int32_t>(in.signed_varint());
  for (double* number : {&value->zero_threshold, &value->zero_count, &value->count, &value->sum})
    *number = read_double(in);
  read_spans(in, value->positive_spans, value->positive_buckets);
  read_spans(in, value->negative_spans, value->negative_buckets);
  value->custom_values.resize(in.count(8));
  for (double& bound : value->custom_values) bound = read_double(in);
  row.histogram = std::move(value);
}

// Builds the body; times are told relative to the one before.
struct Writer {
  Symbols symbols;
  std::string rows;
  RecordHead head;
  std::int64_t last_time = 0;

  void time(TimestampMs time, TimestampMs start_time) {
    put_signed(rows, minus(time, last_time));
    put_varint(rows, start_time == 0 ? 0 : 1);
    if (start_time != 0) put_signed(rows, minus(time, start_time));
    last_time = time;
    head.min_time = head.rows == 0 ? time : std::min(head.min_time, time);
    head.max_time = head.rows == 0 ? time : std::max(head.max_time, time);
    ++head.rows;
  }
  void series(const Labels& labels, const metrics::SeriesRows& series, const RecordRules& rules) {
    symbols.labels(rows, labels);
    put_varint(rows, series.floats.size());
    for (const metrics::FloatRow& row : series.floats) {
      time(row.time, row.start_time);
      put_double(rows, row.value);
    }
    put_varint(rows, rules.native_histograms ? series.histograms.size() : 0);
    if (rules.native_histograms) {
      for (const metrics::HistogramRow& row : series.histograms) {
        time(row.time, row.start_time);
        put_histogram(rows, row);
      }
    }
    put_varint(rows, rules.exemplars ? series.exemplars.size() : 0);
    if (rules.exemplars) {
      for (const metrics::ExemplarRow& row : series.exemplars) {
        time(row.time, 0);
        put_double(rows, row.value);
        symbols.labels(rows, row.labels);
      }
    }
  }
};

struct Reader {
  Input in;
  RecordRows& out;
  std::int64_t last_time = 0;

  void time(TimestampMs& time, TimestampMs& start_time) {
    last_time = time = plus(last_time, in.signed_varint());
    start_time = in.varint() != 0 ? minus(time, in.signed_varint()) : 0;
  }
  void labels(std::uint32_t& begin, std::uint32_t& count) {
    begin = static_cast<std::uint32_t>(out.labels.size() / 2);
    count = in.count(2);
    for (std::uint32_t i = 0; i < 2 * count; ++i) {
      std::uint64_t symbol = in.varint();
      if (symbol >= out.symbols.size()) {
        in.failed = true;
        count = 0;
        return;
      }
      out.labels.push_back(static_cast<std::uint32_t>(symbol));
    }
  }
  void series() {
    RecordRows::Series series{};
    labels(series.label_begin, series.label_count);
    series.float_begin = static_cast<std::uint32_t>(out.floats.size());
    series.float_count = in.count(10);
    for (std::uint32_t i = 0; i < series.float_count && !in.failed; ++i) {
      metrics::FloatRow row{};
      time(row.time, row.start_time);
      row.value = read_double(in);
      out.floats.push_back(row);
    }
    series.histogram_begin = static_cast<std::uint32_t>(out.histograms.size());
    series.histogram_count = in.count(32);
    for (std::uint32_t i = 0; i < series.histogram_count && !in.failed; ++i) {
      metrics::HistogramRow row{};
      time(row.time, row.start_time);
      read_histogram(in, row);
      out.histograms.push_back(std::move(row));
    }
    series.exemplar_begin = static_cast<std::uint32_t>(out.exemplars.size());
    series.exemplar_count = in.count(10);
    for (std::uint32_t i = 0; i < series.exemplar_count && !in.failed; ++i) {
      RecordRows::Exemplar row{};
      TimestampMs none = 0;
      time(row.time, none);
      row.value = read_double(in);
      labels(row.label_begin, row.label_count);
      out.exemplars.push_back(row);
    }
    if (!in.failed) out.series.push_back(series);
  }
};

std::string_view symbol(Reader& reader) {
  std::uint64_t index = reader.in.varint();
  if (index < reader.out.symbols.size()) return reader.out.symbols[index];
  reader.in.failed = true;
  return {};
}

Result<RecordHead> read_head(Input& in) {
  RecordHead head;
  if (in.take(1) != std::string_view(&kVersion, 1))
    return fail(ErrorKind::bad_input, "queue record of an unknown version");
  head.rows = in.varint();
  head.metadata = in.varint();
  head.min_time = in.signed_varint();
  head.max_time = in.signed_varint();
  if (in.failed) return fail(ErrorKind::bad_input, "queue record with a damaged head");
  return head;
}

}  // namespace

RecordHead encode_record(const metrics::AppendBatch& batch, const RecordRules& rules, std::string& out) {
  Writer writer;
  std::uint64_t count = 0;
  for (const metrics::SeriesRows& series : batch.series) {
    if (series.labels == nullptr) continue;
    std::size_t rows = series.floats.size() + (rules.native_histograms ? series.histograms.size() : 0) +
                       (rules.exemplars ? series.exemplars.size() : 0);
    if (rows == 0) continue;
    if (rules.external_labels.empty() && rules.relabel.empty()) {
      writer.series(*series.labels, series, rules);
      ++count;
      continue;
    }
    Labels labels = *series.labels;
    for (const Label& label : rules.external_labels) {
      if (!labels.has(label.name)) labels.set(label.name, label.value);
    }
    if (!relabel(labels, rules.relabel) || labels.empty()) continue;
    writer.series(labels, series, rules);
    ++count;
  }
  std::string metadata;
  if (rules.metadata) {
    writer.head.metadata = batch.metadata.size();
    for (const metrics::MetadataRow& row : batch.metadata) {
      for (const std::string* text : {&row.metric, &row.type, &row.help, &row.unit})
        put_varint(metadata, writer.symbols.of(*text));
    }
  }
  if (writer.head.rows == 0 && writer.head.metadata == 0) return writer.head;
  std::string body;
  writer.symbols.write(body);
  put_varint(body, count);
  body += writer.rows;
  put_varint(body, writer.head.metadata);
  body += metadata;

  out += kVersion;
  put_varint(out, writer.head.rows);
  put_varint(out, writer.head.metadata);
  put_signed(out, writer.head.min_time);
  put_signed(out, writer.head.max_time);
  put_body(out, body);
  return writer.head;
}

Result<RecordHead> decode_head(std::string_view payload) {
  Input in{payload};
  return read_head(in);
}

Result<std::unique_ptr<RecordRows>> decode_record(std::string_view payload) {
  Input in{payload};
  RecordHead head = TRY(read_head(in));
  std::uint64_t size = in.varint();
  if (in.failed || size > kMaxBody) return fail(ErrorKind::bad_input, "queue record with a damaged size");
  auto out = std::make_unique<RecordRows>();
  out->body.resize(size);
  std::size_t unpacked = ZSTD_decompress(out->body.data(), size, in.rest.data(), in.rest.size());
  if (ZSTD_isError(unpacked) || unpacked != size)
    return fail(ErrorKind::bad_input, "queue record that does not unpack");
  Reader reader{{out->body}, *out};
  std::uint32_t symbols = reader.in.count();
  out->symbols.reserve(symbols);
  for (std::uint32_t i = 0; i < symbols; ++i) out->symbols.push_back(reader.in.text());
  std::uint32_t series = reader.in.count(4);
  for (std::uint32_t i = 0; i < series && !reader.in.failed; ++i) reader.series();
  std::uint32_t metadata = reader.in.count(4);
  for (std::uint32_t i = 0; i < metadata && !reader.in.failed; ++i) {
    metrics::MetadataRow row;
    for (std::string* text : {&row.metric, &row.type, &row.help, &row.unit}) *text = symbol(reader);
    out->metadata.push_back(std::move(row));
  }
  if (reader.in.failed || !reader.in.rest.empty() || out->metadata.size() != head.metadata ||
      out->floats.size() + out->histograms.size() + out->exemplars.size() != head.rows) {
    return fail(ErrorKind::bad_input, "queue record with damaged rows");
  }
  return out;
}

std::uint64_t RecordRows::series_hash(const Series& series) const {
  std::uint64_t hash = 0;
  for (std::uint32_t i = 2 * series.label_begin; i < 2 * (series.label_begin + series.label_count); ++i)
    hash = hash64(symbols[labels[i]], hash + 1);
  return hash;
}

Labels RecordRows::label_set(std::uint32_t begin, std::uint32_t count) const {
  std::vector<Label> list;
  for (std::uint32_t i = begin; i < begin + count; ++i)
    list.push_back({std::string(symbols[labels[2 * i]]), std::string(symbols[labels[2 * i + 1]])});
  return Labels(std::move(list));
}

}  // namespace tocayo::agent
