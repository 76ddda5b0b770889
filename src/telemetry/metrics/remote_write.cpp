// SPDX-License-Identifier: Apache-2.0
#include "metrics/remote_write.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <optional>

#include "metrics/remote_write_proto.h"

namespace tocayo::metrics {

namespace {

using namespace proto;

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
  // As nearly all senders write it: value, time, nothing else.
  if (bytes.size() >= 11 && bytes[0] == 0x09 && bytes[9] == 0x10) {
    const char* at = bytes.data() + 10;
    const char* const end = bytes.data() + bytes.size();
    const std::uint64_t raw = protozero::decode_varint(&at, end);
    if (at == end) {
      std::memcpy(&value, bytes.data() + 1, 8);
      return rows.sample(static_cast<std::int64_t>(raw), value);
    }
  }
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

constexpr char kFirstField = 0x0a;  // field 1, length-delimited

// Length of the fields 1 that `bytes` begin with, as far as they are well-formed.
std::size_t leading_labels(std::string_view bytes) {
  const char* at = bytes.data();
  const char* const end = at + bytes.size();
  const char* after = at;
  while (at != end && *at == kFirstField) {
    ++at;
    std::uint64_t length = 0;
    unsigned shift = 0;
    do {
      if (at == end || shift > 21) return static_cast<std::size_t>(after - bytes.data());
      length |= std::uint64_t{static_cast<unsigned char>(*at) & 0x7fU} << shift;
      shift += 7;
    } while ((*at++ & 0x80) != 0);
    if (length > static_cast<std::size_t>(end - at)) break;
    at += length;
    after = at;
  }
  return static_cast<std::size_t>(after - bytes.data());
}

// Whether a message has field 1 in it, or is not well-formed.
bool has_first_field(std::string_view bytes) {
  // One sample and nothing else.
  if (bytes.size() >= 2 && bytes.size() < 130 && bytes[0] == 0x12 && bytes[1] == static_cast<char>(bytes.size() - 2)) {
    return false;
  }
  try {
    Reader message = reader(bytes);
    while (message.next()) {
      if (message.tag() == 1) return true;
      message.skip();
    }
    return false;
  } catch (const protozero::exception&) {
    return true;
  }
}

}  // namespace

class RemoteWriteDecoder::V1 {
 public:
  V1(RemoteWriteDecoder& decoder, IngestRows& rows, SeriesCache::Lookup* known)
      : decoder_(decoder), rows_(rows), known_(known) {}

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
  // Marks the series as known and returns what follows its labels; all of `bytes` when it is not known.
  std::string_view known_labels(std::string_view bytes) {
    SeriesCache::Known series;
    std::size_t length = 0;
    if (!known_->expected(bytes, series, length) || has_first_field(bytes.substr(length))) {
      length = leading_labels(bytes);
      if (has_first_field(bytes.substr(length))) return bytes;
      const SeriesCache::Key key = SeriesCache::Key::of_v1(bytes.substr(0, length));
      if (!known_->find(key, series)) {
        rows_.remember(key);
        return bytes;
      }
    }
    rows_.known(series, bytes.substr(0, length));
    return bytes.substr(length);
  }

  void time_series(std::string_view bytes) {
    rows_.begin_series();
    if (known_ != nullptr) bytes = known_labels(bytes);
    Reader message = reader(bytes);
    while (message.next()) {
      switch (message.tag()) {
        case 1: rows_.label(read_label(get_bytes(message, "TimeSeries.labels"))); break;
        case 2: read_sample(get_bytes(message, "TimeSeries.samples"), rows_); break;
        case 3: exemplar(get_bytes(message, "TimeSeries.exemplars")); break;
        case 4: {
          std::int64_t time = 0;
          std::int64_t start_time = 0;
          read_histogram(get_bytes(message, "TimeSeries.histograms"), decoder_.parts_, time, start_time);
          rows_.histogram(time, decoder_.parts_, start_time);
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
    auto& labels = decoder_.exemplar_labels_;
    labels.clear();
    Reader message = reader(bytes);
    while (message.next()) {
      switch (message.tag()) {
        case 1: labels.push_back(read_label(get_bytes(message, "Exemplar.labels"))); break;
        case 2: value = get_double(message, "Exemplar.value"); break;
        case 3: time = get_int64(message, "Exemplar.timestamp"); break;
        default: message.skip();
      }
    }
    rows_.exemplar(labels, value, time);
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

  RemoteWriteDecoder& decoder_;
  IngestRows& rows_;
  SeriesCache::Lookup* known_;
};

class RemoteWriteDecoder::V2 {
 public:
  V2(RemoteWriteDecoder& decoder, IngestRows& rows, SeriesCache::Lookup* known)
      : decoder_(decoder), symbols_(decoder.symbols_), rows_(rows), known_(known) {}

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
          symbols_.push_back({.text = text});
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

  bool in_range(std::uint64_t reference) const { return reference < symbols_.size(); }
  bool utf8(std::uint64_t reference) const {
    Symbol& symbol = symbols_[reference];
    using enum Symbol::Utf8;
    if (symbol.utf8 == unknown) symbol.utf8 = is_valid_utf8(symbol.text) ? valid : invalid;
    return symbol.utf8 == valid;
  }

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
      out.push_back({symbols_[references[i]].text, symbols_[references[i + 1]].text,
                     utf8(references[i]) && utf8(references[i + 1])});
    }
    return {};
  }

 private:
  struct Metadata {
    std::uint64_t type = 0, help = 0, unit = 0;
  };

  void add_labels() {
    auto& labels = decoder_.labels_;
    labels.clear();
    if (auto problem = resolve(decoder_.references_, labels)) {
      rows_.refuse_series("invalid_label_refs", fmt::format("parsing labels for series: {}", *problem));
    }
    for (const LabelView& label : labels) rows_.label(label);
  }

  // The usual form: all references packed in one field, which comes first. Reads them into references_ and returns what
  // follows; nullopt when it is another form.
  std::optional<std::string_view> leading_references(std::string_view bytes, std::string_view& encoded) {
    if (bytes.size() < 2 || bytes[0] != kFirstField) return {};
    const std::size_t length = static_cast<unsigned char>(bytes[1]);  // one byte: up to 31 labels and more
    if (length == 0 || length > 127 || length > bytes.size() - 2) return {};
    encoded = bytes.substr(2, length);
    const std::string_view rest = bytes.substr(2 + length);
    if (has_first_field(rest)) return {};
    auto& references = decoder_.references_;
    references.resize(length);
    std::size_t count = 0;
    const char* at = encoded.data();
    const char* const end = at + encoded.size();
    while (at != end) {
      // One and two bytes reach 16,384 symbols.
      const auto first = static_cast<unsigned char>(*at);
      if (first < 0x80) {
        references[count++] = first;
        ++at;
      } else if (end - at > 1 && (at[1] & 0x80) == 0) {
        references[count++] = (first & 0x7fU) | static_cast<unsigned>(static_cast<unsigned char>(at[1])) << 7;
        at += 2;
      } else {
        references[count++] = protozero::decode_varint(&at, end);
      }
    }
    references.resize(count);
    return rest;
  }

  // Looks the series up by the hashes of its symbols.
  bool mark_known(std::string_view encoded) {
    const auto& references = decoder_.references_;
    if (references.size() % 2 != 0) return false;
    auto& hashes = decoder_.hashes_;
    hashes.resize(references.size());
    for (std::size_t i = 0; i < references.size(); ++i) {
      if (!in_range(references[i])) return false;
      Symbol& symbol = symbols_[references[i]];
      if (symbol.hash == 0) symbol.hash = SeriesCache::symbol_hash(symbol.text);
      hashes[i] = symbol.hash;
    }
    const SeriesCache::Key key = SeriesCache::Key::of_v2(hashes);
    SeriesCache::Known series;
    if (!known_->find(key, series)) {
      rows_.remember(key);
      return false;
    }
    rows_.known(series, encoded);
    return true;
  }

  void time_series(std::string_view bytes) {
    rows_.begin_series();
    decoder_.references_.clear();
    std::string_view encoded;
    const std::optional<std::string_view> rest = leading_references(bytes, encoded);
    if (rest) {
      if (known_ == nullptr || !mark_known(encoded)) add_labels();
      bytes = *rest;
    } else {
      decoder_.references_.clear();
    }
    std::optional<Metadata> metadata;
    exemplars_.clear();
    Reader message = reader(bytes);
    while (message.next()) {
      switch (message.tag()) {
        case 1:
          each_varint(message, "TimeSeries.labels_refs",
                      [&](std::uint64_t value) { decoder_.references_.push_back(value); });
          break;
        case 2: read_sample(get_bytes(message, "TimeSeries.samples"), rows_); break;
        case 3: {
          std::int64_t time = 0;
          std::int64_t start_time = 0;
          read_histogram(get_bytes(message, "TimeSeries.histograms"), decoder_.parts_, time, start_time);
          rows_.histogram(time, decoder_.parts_, start_time);
          break;
        }
        case 4: exemplars_.push_back(get_bytes(message, "TimeSeries.exemplars")); break;
        case 5: metadata = read_metadata(get_bytes(message, "TimeSeries.metadata")); break;
        default: message.skip();
      }
    }
    if (!rest) add_labels();
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
    if (metadata && rows_.last_kept()) add_metadata(*metadata);
  }

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

  // Under the name that was sent; relabelling does not touch metadata.
  void add_metadata(const Metadata& metadata) {
    if (metadata.type == 0 && metadata.help == 0 && metadata.unit == 0) return;
    for (std::size_t i = 0; i + 1 < decoder_.references_.size(); i += 2) {
      if (symbols_[decoder_.references_[i]].text != kMetricName) continue;
      Symbol& name = symbols_[decoder_.references_[i + 1]];
      if (name.text.empty()) continue;
      // Nearly always the same as of the series before.
      if (name.type == metadata.type && name.help == metadata.help && name.unit == metadata.unit) {
        return rows_.metadata_again();
      }
      name.type = metadata.type;
      name.help = metadata.help;
      name.unit = metadata.unit;
      const std::string_view type = type_name(metadata.type);
      const auto text = [&](std::uint64_t reference) {
        return in_range(reference) ? symbols_[reference].text : std::string_view{};
      };
      return rows_.metadata(metric_family_of(name.text, type), type, text(metadata.help), text(metadata.unit));
    }
  }

  void exemplar(std::string_view bytes) {
    double value = 0;
    std::int64_t time = 0;
    auto& references = decoder_.exemplar_references_;
    references.clear();
    Reader message = reader(bytes);
    while (message.next()) {
      switch (message.tag()) {
        case 1: each_varint(message, "Exemplar.labels_refs", [&](std::uint64_t v) { references.push_back(v); }); break;
        case 2: value = get_double(message, "Exemplar.value"); break;
        case 3: time = get_int64(message, "Exemplar.timestamp"); break;
        default: message.skip();
      }
    }
    auto& labels = decoder_.exemplar_labels_;
    labels.clear();
    if (auto problem = resolve(references, labels)) {
      rows_.rejections().add("invalid_exemplar_refs", 1, [&] { return fmt::format("parsing exemplar: {}", *problem); });
      return;
    }
    rows_.exemplar(labels, value, time);
  }

  RemoteWriteDecoder& decoder_;
  std::vector<Symbol>& symbols_;
  IngestRows& rows_;
  SeriesCache::Lookup* known_;
  std::vector<std::string_view> exemplars_;
};

Result<> RemoteWriteDecoder::decode(RemoteWriteVersion version, std::string_view body, IngestRows& rows,
                                    SeriesCache::Lookup* known) {
  version_ = version;
  symbols_.clear();
  rows.set_encoded_labels(this);
  if (version == RemoteWriteVersion::v1) {
    return guard("decoding remote write 1.0 request", [&] { V1(*this, rows, known).decode(body); });
  }
  return guard("decoding remote write 2.0 request", [&] { V2(*this, rows, known).decode(body); });
}

// Of bytes that were read before, so nothing is wrong with them.
void RemoteWriteDecoder::read(std::string_view encoded, std::vector<LabelView>& out) {
  (void)guard("reading labels", [&] {
    if (version_ == RemoteWriteVersion::v1) {
      Reader message = reader(encoded);
      while (message.next(1)) out.push_back(read_label(get_bytes(message, "TimeSeries.labels")));
      return;
    }
    std::vector<std::uint64_t> references;
    const char* at = encoded.data();
    const char* const end = at + encoded.size();
    while (at != end) references.push_back(protozero::decode_varint(&at, end));
    for (std::size_t i = 0; i + 1 < references.size(); i += 2) {
      if (references[i] >= symbols_.size() || references[i + 1] >= symbols_.size()) return;
      out.push_back({symbols_[references[i]].text, symbols_[references[i + 1]].text});
    }
  });
}

Result<> decode_remote_write(RemoteWriteVersion version, std::string_view body, IngestRows& rows) {
  RemoteWriteDecoder decoder;
  auto result = decoder.decode(version, body, rows);
  rows.set_encoded_labels(nullptr);
  return result;
}

}  // namespace tocayo::metrics
