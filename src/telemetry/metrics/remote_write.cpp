// SPDX-License-Identifier: Apache-2.0
#include "metrics/remote_write.h"

#include <fmt/format.h>

#include <array>
#include <vector>

#include "metrics/remote_write_proto.h"

namespace tocayo::metrics {

namespace {

using namespace proto;
using LabelView = IngestRows::LabelView;

constexpr std::array<std::string_view, 8> kTypesV1 = {"unknown",        "counter", "gauge", "histogram",
                                                      "gaugehistogram", "summary", "info",  "stateset"};

std::string_view type_name(std::uint64_t type) { return type < kTypesV1.size() ? kTypesV1[type] : "unknown"; }

LabelView read_label(std::string_view bytes) {
  LabelView label;
  Reader message = reader(bytes);
  while (message.next()) {
    switch (message.tag()) {
      case 1: label.name = get_bytes(message, "Label.name"); break;
      case 2: label.value = get_bytes(message, "Label.value"); break;
      default: message.skip();
    }
  }
  return label;
}

// prometheus.Sample and io.prometheus.write.v2.Sample.
void read_sample(std::string_view bytes, IngestRows& rows) {
  double value = 0;
  std::int64_t time = 0;
  std::int64_t start_time = 0;
  Reader message = reader(bytes);
  while (message.next()) {
    switch (message.tag()) {
      case 1: value = get_double(message, "Sample.value"); break;
      case 2: time = get_int64(message, "Sample.timestamp"); break;
      case 3: start_time = get_int64(message, "Sample.start_timestamp"); break;
      default: message.skip();
    }
  }
  rows.sample(time, value, start_time);
}

class DecoderV1 {
 public:
  explicit DecoderV1(IngestRows& rows) : rows_(rows) {}

  void decode(std::string_view body) {
    Reader message = reader(body);
    while (message.next()) {
      switch (message.tag()) {
        case 1: time_series(get_bytes(message, "WriteRequest.timeseries")); break;
        case 3: metadata(get_bytes(message, "WriteRequest.metadata")); break;
        case 4:
        case 5:
          // A 2.0 message under a 1.0 content type would be accepted without storing anything.
          throw WireError{
              "this is not a prometheus.WriteRequest; send remote write 2.0 with "
              "Content-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request"};
        default: message.skip();
      }
    }
  }

 private:
  void time_series(std::string_view bytes) {
    rows_.begin_series();
    Reader message = reader(bytes);
    while (message.next()) {
      switch (message.tag()) {
        case 1: rows_.label(read_label(get_bytes(message, "TimeSeries.labels"))); break;
        case 2: read_sample(get_bytes(message, "TimeSeries.samples"), rows_); break;
        case 3: exemplar(get_bytes(message, "TimeSeries.exemplars")); break;
        case 4: {
          std::int64_t time = 0;
          std::int64_t start_time = 0;
          read_histogram(get_bytes(message, "TimeSeries.histograms"), parts_, time, start_time);
          rows_.histogram(time, parts_, start_time);
          break;
        }
        default: message.skip();
      }
    }
    rows_.end_series();
  }

  void exemplar(std::string_view bytes) {
    double value = 0;
    std::int64_t time = 0;
    exemplar_labels_.clear();
    Reader message = reader(bytes);
    while (message.next()) {
      switch (message.tag()) {
        case 1: exemplar_labels_.push_back(read_label(get_bytes(message, "Exemplar.labels"))); break;
        case 2: value = get_double(message, "Exemplar.value"); break;
        case 3: time = get_int64(message, "Exemplar.timestamp"); break;
        default: message.skip();
      }
    }
    rows_.exemplar(exemplar_labels_, value, time);
  }

  void metadata(std::string_view bytes) {
    std::uint64_t type = 0;
    std::string_view name;
    std::string_view help;
    std::string_view unit;
    Reader message = reader(bytes);
    while (message.next()) {
      switch (message.tag()) {
        case 1: type = get_uint64(message, "MetricMetadata.type"); break;
        case 2: name = get_bytes(message, "MetricMetadata.metric_family_name"); break;
        case 4: help = get_bytes(message, "MetricMetadata.help"); break;
        case 5: unit = get_bytes(message, "MetricMetadata.unit"); break;
        default: message.skip();
      }
    }
    rows_.metadata(name, type_name(type), help, unit);
  }

  IngestRows& rows_;
  HistogramParts parts_;
  std::vector<LabelView> exemplar_labels_;
};

class DecoderV2 {
 public:
  explicit DecoderV2(IngestRows& rows) : rows_(rows) {}

  // Two walks over the outer message: protobuf does not promise that the symbols come before the series.
  void decode(std::string_view body) {
    rows_.require_one_kind();
    rows_.set_strict_exemplars(true);
    Reader symbols = reader(body);
    while (symbols.next()) {
      switch (symbols.tag()) {
        case 4: {
          const std::string_view text = get_bytes(symbols, "Request.symbols");
          if (symbols_.empty() && !text.empty()) throw WireError{"the first symbol must be the empty string"};
          symbols_.push_back({text, is_valid_utf8(text)});
          break;
        }
        case 1:
        case 2:
        case 3:
          throw WireError{
              "fields 1 to 3 of io.prometheus.write.v2.Request are reserved; send remote write 1.0 with "
              "Content-Type: application/x-protobuf;proto=prometheus.WriteRequest"};
        default: symbols.skip();
      }
    }
    Reader message = reader(body);
    while (message.next(5)) time_series(get_bytes(message, "Request.timeseries"));
  }

 private:
  struct Symbol {
    std::string_view text;
    bool utf8;
  };

  bool in_range(std::uint64_t reference) const { return reference < symbols_.size(); }

  // The labels that `references` name, or a text of what is wrong with them.
  std::optional<std::string> resolve(const std::vector<std::uint64_t>& references, std::vector<LabelView>& out) const {
    if (references.size() % 2 != 0) return fmt::format("invalid labelRefs length {}", references.size());
    for (std::size_t i = 0; i < references.size(); i += 2) {
      for (const std::uint64_t reference : {references[i], references[i + 1]}) {
        if (!in_range(reference)) {
          return fmt::format("label reference {} is out of range, the request has {} symbols", reference,
                             symbols_.size());
        }
      }
      const Symbol& name = symbols_[references[i]];
      const Symbol& value = symbols_[references[i + 1]];
      out.push_back({name.text, value.text, name.utf8 && value.utf8});
    }
    return {};
  }

  void time_series(std::string_view bytes) {
    rows_.begin_series();
    references_.clear();
    std::optional<Metadata> metadata;
    exemplars_.clear();
    Reader message = reader(bytes);
    while (message.next()) {
      switch (message.tag()) {
        case 1:
          each_varint(message, "TimeSeries.labels_refs", [&](std::uint64_t value) { references_.push_back(value); });
          break;
        case 2: read_sample(get_bytes(message, "TimeSeries.samples"), rows_); break;
        case 3: {
          std::int64_t time = 0;
          std::int64_t start_time = 0;
          read_histogram(get_bytes(message, "TimeSeries.histograms"), parts_, time, start_time);
          rows_.histogram(time, parts_, start_time);
          break;
        }
        case 4: exemplars_.push_back(get_bytes(message, "TimeSeries.exemplars")); break;
        case 5: metadata = read_metadata(get_bytes(message, "TimeSeries.metadata")); break;
        default: message.skip();
      }
    }
    labels_.clear();
    if (auto problem = resolve(references_, labels_)) {
      rows_.refuse_series("invalid_label_refs", fmt::format("parsing labels for series: {}", *problem));
    }
    for (const LabelView& label : labels_) rows_.label(label);
    if (metadata && !(in_range(metadata->help) && in_range(metadata->unit)) &&
        !(metadata->help == 0 && metadata->unit == 0)) {
      rows_.refuse_series(
          "invalid_metadata_refs",
          fmt::format("parsing metadata for series: help reference {} or unit reference {} is out of range, the "
                      "request has {} symbols",
                      metadata->help, metadata->unit, symbols_.size()));
    }
    for (const std::string_view exemplar_bytes : exemplars_) exemplar(exemplar_bytes);
    rows_.end_series();
    if (metadata) add_metadata(*metadata);
  }

  struct Metadata {
    std::uint64_t type = 0, help = 0, unit = 0;
  };
  static Metadata read_metadata(std::string_view bytes) {
    Metadata result;
    Reader message = reader(bytes);
    while (message.next()) {
      switch (message.tag()) {
        case 1: result.type = get_uint64(message, "Metadata.type"); break;
        case 3: result.help = get_uint64(message, "Metadata.help_ref"); break;
        case 4: result.unit = get_uint64(message, "Metadata.unit_ref"); break;
        default: message.skip();
      }
    }
    return result;
  }

  void add_metadata(const Metadata& metadata) {
    const std::string_view name = rows_.last_metric_name();
    if (name.empty() || (metadata.type == 0 && metadata.help == 0 && metadata.unit == 0)) return;
    const std::string_view type = type_name(metadata.type);
    const auto text = [&](std::uint64_t reference) {
      return in_range(reference) ? symbols_[reference].text : std::string_view{};
    };
    rows_.metadata(metric_family_of(name, type), type, text(metadata.help), text(metadata.unit));
  }

  void exemplar(std::string_view bytes) {
    double value = 0;
    std::int64_t time = 0;
    exemplar_references_.clear();
    Reader message = reader(bytes);
    while (message.next()) {
      switch (message.tag()) {
        case 1:
          each_varint(message, "Exemplar.labels_refs", [&](std::uint64_t v) { exemplar_references_.push_back(v); });
          break;
        case 2: value = get_double(message, "Exemplar.value"); break;
        case 3: time = get_int64(message, "Exemplar.timestamp"); break;
        default: message.skip();
      }
    }
    exemplar_labels_.clear();
    if (auto problem = resolve(exemplar_references_, exemplar_labels_)) {
      rows_.rejections().add("invalid_exemplar_refs", 1, [&] { return fmt::format("parsing exemplar: {}", *problem); });
      return;
    }
    rows_.exemplar(exemplar_labels_, value, time);
  }

  IngestRows& rows_;
  HistogramParts parts_;
  std::vector<Symbol> symbols_;
  std::vector<std::uint64_t> references_, exemplar_references_;
  std::vector<LabelView> labels_, exemplar_labels_;
  std::vector<std::string_view> exemplars_;
};

}  // namespace

Result<> decode_remote_write(RemoteWriteVersion version, std::string_view body, IngestRows& rows) {
  if (version == RemoteWriteVersion::v1) {
    return guard("decoding remote write 1.0 request", [&] { DecoderV1(rows).decode(body); });
  }
  return guard("decoding remote write 2.0 request", [&] { DecoderV2(rows).decode(body); });
}

}  // namespace tocayo::metrics
