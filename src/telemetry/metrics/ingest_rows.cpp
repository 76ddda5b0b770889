// SPDX-License-Identifier: Apache-2.0
#include "metrics/ingest_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "core/hash.h"

namespace tocayo::metrics {

namespace {

constexpr std::size_t kExemplarMaxCharacters = 128;            // OpenMetrics 1.0
constexpr std::string_view kTenantLabel = "__meta_tenant_id";  // as Mimir's rules see it
constexpr std::size_t kTextCut = 200;                          // of names, values and series in messages

std::string_view cut(std::string_view text) {
  if (text.size() <= kTextCut) return text;
  std::size_t end = kTextCut;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // not inside a character
  return text.substr(0, end);
}

// Nearly all label text is ASCII: eight bytes at a time, the exact check only for the rest.
bool is_utf8(std::string_view text) {
  const char* at = text.data();
  std::size_t left = text.size();
  for (; left >= 8; at += 8, left -= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, 8);
    if (word & 0x8080808080808080ULL) return is_valid_utf8({at, left});
  }
  for (; left > 0; ++at, --left) {
    if (static_cast<unsigned char>(*at) >= 0x80) return is_valid_utf8({at, left});
  }
  return true;
}

// For messages: bytes that are not UTF-8 shown as \xNN.
std::string printable(std::string_view text) {
  if (is_valid_utf8(text)) return std::string(cut(text));
  std::string out;
  for (const char c : text.substr(0, kTextCut)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      out += c;
    } else {
      out += fmt::format("\\x{:02x}", byte);
    }
  }
  return out;
}

std::size_t count_characters(std::string_view utf8) {
  return static_cast<std::size_t>(
      std::count_if(utf8.begin(), utf8.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace

std::string with_error_id(std::string text, std::string_view id, std::string_view limit_key) {
  text += fmt::format(" (err-mimir-{})", id);
  if (!limit_key.empty()) text += fmt::format(". To adjust the related limit, set limits.{}", limit_key);
  return text;
}

std::string_view metric_family_of(std::string_view name, std::string_view type) {
  const auto strip = [&](std::string_view suffix) {
    if (!name.ends_with(suffix) || name.size() == suffix.size()) return false;
    name.remove_suffix(suffix.size());
    return true;
  };
  if (type == "histogram" || type == "gaugehistogram") {
    strip("_bucket") || strip("_count") || strip("_sum");
  } else if (type == "summary") {
    strip("_count") || strip("_sum");
  }
  return name;
}

void IngestRows::reset(const IngestLimits& limits, TimestampMs now, std::string_view tenant) {
  limits_ = limits;
  now_ = now;
  tenant_ = tenant;
  strict_exemplars_ = require_one_kind_ = false;
  encoded_ = nullptr;
  label_scratch_.clear();
  slots_.clear();
  labels_.clear();
  seen_.clear();
  floats_.clear();
  histograms_.clear();
  exemplars_.clear();
  metadata_.clear();
  metadata_seen_.clear();
  series_.clear();
  series_slots_.clear();
  late_labels_.clear();
  samples_received_ = histograms_received_ = exemplars_received_ = metadata_received_ = unsorted_series_ =
      relabelled_away_ = 0;
  last_kept_ = false;
  rejections_.clear();
}

void IngestRows::begin_series() {
  label_scratch_.clear();
  refuse_reason_ = {};
  open_rows_ = open_floats_ = open_histograms_ = 0;
  open_known_ = at_end_ = false;
  open_encoded_ = {};
  open_seen_ = {};
  last_kept_ = false;
}

void IngestRows::known(const SeriesCache::Known& series, std::string_view encoded) {
  open_known_ = true;
  open_encoded_ = encoded;
  open_seen_ = {.index = series.index, .ref = series.ref, .fate = series.fate, .unsorted = series.unsorted};
}

// The past is the store's to judge: it knows the out-of-order window.
bool IngestRows::in_time(TimestampMs time) {
  // Compared without subtraction from `time`: the wire may carry any 64-bit integer.
  if (time <= now_ + limits_.creation_grace_period_ms || limits_.creation_grace_period_ms == 0) [[likely]]
    return true;
  rejections_.add("too_far_in_future", 1, [&] {
    return with_error_id(
        fmt::format("received a sample whose timestamp is too far in the future, timestamp: {} series: '{}'", time,
                    series_text()),
        "too-far-in-future", "creation_grace_period");
  });
  return false;
}

void IngestRows::drop_late_and_early() {
  const Slot begin = begin_of_open();
  const auto out_of_time = [&](const auto& row) { return !in_time(row.time); };
  floats_.erase(std::remove_if(floats_.begin() + begin.floats_end, floats_.end(), out_of_time), floats_.end());
  histograms_.erase(std::remove_if(histograms_.begin() + begin.histograms_end, histograms_.end(), out_of_time),
                    histograms_.end());
}

void IngestRows::histogram(TimestampMs time, const HistogramParts& parts, TimestampMs start_time) {
  ++histograms_received_;
  ++open_histograms_;
  if (!limits_.native_histograms) return rejections_.add_silently("native_histograms_disabled", 1);
  auto checked = check_histogram(parts, limits_);
  if (!checked) {
    rejections_.add(checked.error().reason, 1, [&] {
      return with_error_id(fmt::format("{}, timestamp: {} series: '{}'", checked.error().text, time, series_text()),
                           checked.error().id,
                           checked.error().id == "max-native-histogram-buckets" ? "max_native_histogram_buckets" : "");
    });
    return;
  }
  ++open_rows_;
  histograms_.push_back(
      {.time = time, .histogram = std::move(*checked), .integer = !parts.is_float, .start_time = start_time});
}

void IngestRows::exemplar(std::span<const LabelView> labels, double value, TimestampMs time) {
  ++exemplars_received_;
  const auto refuse = [&](std::string_view reason, std::string_view id, std::string_view what,
                          std::string_view key = {}) {
    if (!strict_exemplars_) return rejections_.add_silently(reason, 1);
    rejections_.add(reason, 1, [&] {
      return with_error_id(
          fmt::format("received an exemplar {}, timestamp: {} series: '{}'", what, time, series_text()), id, key);
    });
  };
  std::size_t characters = 0;
  std::vector<Label> set;
  set.reserve(labels.size());
  for (const LabelView& label : labels) {
    if (!is_valid_utf8(label.name) || !is_valid_utf8(label.value)) {
      return refuse("exemplar_labels_missing", "exemplar-labels-missing", "with labels that are not valid UTF-8");
    }
    characters += count_characters(label.name) + count_characters(label.value);
    if (!label.name.empty() && !label.value.empty()) set.push_back({std::string(label.name), std::string(label.value)});
  }
  if (set.empty()) return refuse("exemplar_labels_missing", "exemplar-labels-missing", "with no valid labels");
  if (characters > kExemplarMaxCharacters) {
    return refuse("exemplar_labels_too_long", "exemplar-labels-too-long",
                  "whose combined labels exceed 128 characters");
  }
  if (time == 0) return refuse("exemplar_timestamp_invalid", "exemplar-timestamp-invalid", "with no timestamp");
  if (limits_.creation_grace_period_ms > 0 && time > now_ + limits_.creation_grace_period_ms) {
    return refuse("exemplar_too_far_in_future", "exemplar-too-far-in-future",
                  "whose timestamp is too far in the future", "creation_grace_period");
  }
  if (limits_.past_grace_period_ms > 0 &&
      time < now_ - limits_.past_grace_period_ms - limits_.out_of_order_time_window_ms) {
    return refuse("exemplar_too_far_in_past", "exemplar-too-far-in-past", "whose timestamp is too far in the past",
                  "past_grace_period");
  }
  exemplars_.push_back({.labels = Labels(std::move(set)), .value = value, .time = time});
}

void IngestRows::refuse_series(std::string_view reason, std::string text) {
  if (!refuse_reason_.empty()) return;
  refuse_reason_ = reason;
  refuse_text_ = std::move(text);
}

void IngestRows::drop_rows() {
  const Slot begin = begin_of_open();
  floats_.resize(begin.floats_end, FloatRow{});
  histograms_.resize(begin.histograms_end);
  exemplars_.resize(begin.exemplars_end);
}

bool IngestRows::check_kind() {
  if (!require_one_kind_) return true;
  if (open_floats_ == 0 && open_histograms_ == 0) {
    rejections_.add("no_samples", 0, [&] {
      return fmt::format("a time series must contain at least one sample or histogram, series: '{}'", series_text());
    });
    return false;
  }
  if (open_floats_ > 0 && open_histograms_ > 0) {
    rejections_.add("mixed_samples", open_rows_, [&] {
      return fmt::format("a time series must not contain both samples and histograms, series: '{}'", series_text());
    });
    return false;
  }
  return true;
}

// The rules leave nothing to store.
void IngestRows::end_dropped() {
  drop_rows();
  rejections_.add_silently(
      open_seen_.fate == SeriesCache::Fate::nothing_left ? "user_label_removal_configuration" : "relabel_configuration",
      open_rows_);
  relabelled_away_ += open_rows_;
  seen_.push_back(open_seen_);
}

void IngestRows::end_series() {
  using Fate = SeriesCache::Fate;
  at_end_ = true;
  if (!refuse_reason_.empty()) {
    rejections_.add(refuse_reason_, open_rows_, [&] { return refuse_text_; });
    return drop_rows();
  }
  if (open_known_) {
    unsorted_series_ += open_seen_.unsorted ? 1 : 0;
  } else {
    if (!sort_labels()) {
      ++unsorted_series_;
      open_seen_.unsorted = true;
    }
    if (limits_.rules != nullptr) {
      bool valid = true;
      open_seen_.fate = apply_rules(valid, open_rows_);
      if (!valid) return drop_rows();
    }
    if (open_seen_.fate == Fate::stored && !check_labels(open_rows_)) return drop_rows();
  }
  if (open_seen_.fate != Fate::stored) return end_dropped();
  if (!check_kind()) return drop_rows();
  drop_late_and_early();

  Slot& slot = slots_.emplace_back();
  slot.floats_end = static_cast<std::uint32_t>(floats_.size());
  slot.histograms_end = static_cast<std::uint32_t>(histograms_.size());
  slot.exemplars_end = static_cast<std::uint32_t>(exemplars_.size());
  slot.seen = static_cast<std::uint32_t>(seen_.size());
  if (open_known_) {
    slot.encoded = open_encoded_;
  } else {
    slot.labels = static_cast<std::uint32_t>(labels_.size());
    std::vector<Label> labels;
    labels.reserve(label_scratch_.size());
    for (const LabelView& label : label_scratch_) labels.push_back({std::string(label.name), std::string(label.value)});
    labels_.push_back(Labels::from_sorted(std::move(labels)));
  }
  seen_.push_back(open_seen_);
  last_kept_ = true;
}

// Returns whether they came sorted.
bool IngestRows::sort_labels() {
  const auto by_name = [](const LabelView& a, const LabelView& b) { return a.name < b.name; };
  if (std::is_sorted(label_scratch_.begin(), label_scratch_.end(), by_name)) return true;
  std::stable_sort(label_scratch_.begin(), label_scratch_.end(), by_name);
  return false;
}

bool IngestRows::refuse_duplicate(const LabelView& label, std::size_t rows) {
  rejections_.add("duplicate_label_names", rows, [&] {
    return with_error_id(fmt::format("received a series with duplicate label name, label: '{}' series: '{}'",
                                     cut(label.name), series_text()),
                         "duplicate-label-names");
  });
  return false;
}

// Relabelling sees valid UTF-8 and each name once; all else is checked after it. Leaves the new labels in
// label_scratch_. `valid` turns false when the series is refused.
SeriesCache::Fate IngestRows::apply_rules(bool& valid, std::size_t rows) {
  using Fate = SeriesCache::Fate;
  std::vector<Label> labels;
  labels.reserve(label_scratch_.size() + 1);
  for (std::size_t i = 0; i < label_scratch_.size() && valid; ++i) {
    const LabelView& label = label_scratch_[i];
    valid = check_text(label, rows);
    if (valid && i > 0 && label_scratch_[i - 1].name == label.name) valid = refuse_duplicate(label, rows);
    labels.push_back({std::string(label.name), std::string(label.value)});
  }
  if (!valid) return Fate::stored;
  relabelled_ = Labels(std::move(labels));
  if (!limits_.rules->relabel.empty()) {
    relabelled_.set(kTenantLabel, tenant_);
    if (!relabel(relabelled_, limits_.rules->relabel)) return Fate::relabelled_away;
    relabelled_.erase(kTenantLabel);
    if (relabelled_.empty()) return Fate::relabelled_away;
  }
  for (const std::string& name : limits_.rules->drop_labels) relabelled_.erase(name);
  if (relabelled_.empty()) return Fate::nothing_left;
  label_scratch_.clear();
  for (const Label& label : relabelled_) label_scratch_.push_back({label.name, label.value});
  return Fate::stored;
}

// Drops labels without value, and checks names, values and their number. They are sorted.
bool IngestRows::check_labels(std::size_t rows) {
  bool empty_values = false;
  for (const LabelView& label : label_scratch_) empty_values |= label.value.empty();
  std::string_view name;
  for (std::size_t i = 0; i < label_scratch_.size(); ++i) {
    const LabelView& label = label_scratch_[i];
    if (!check_label(label, rows)) return false;
    if (i > 0 && label_scratch_[i - 1].name == label.name) return refuse_duplicate(label, rows);
    if (label.name == kMetricName) name = label.value;
  }
  if (name.empty()) {
    rejections_.add("missing_metric_name", rows,
                    [&] { return with_error_id("received series has no metric name", "missing-metric-name"); });
    return false;
  }
  if (empty_values) std::erase_if(label_scratch_, [](const LabelView& label) { return label.value.empty(); });

  const std::size_t count = label_scratch_.size();
  if (limits_.max_label_names_per_series != 0 && count > limits_.max_label_names_per_series) {
    const bool info =
        name.ends_with("_info") && limits_.max_label_names_per_info_series > limits_.max_label_names_per_series;
    const std::size_t limit = info ? limits_.max_label_names_per_info_series : limits_.max_label_names_per_series;
    if (count > limit) {
      rejections_.add(info ? "max_label_names_per_info_series" : "max_label_names_per_series", rows, [&] {
        return with_error_id(
            fmt::format("received {} whose number of labels exceeds the limit (actual: {}, limit: {}) series: '{}'",
                        info ? "an info series" : "a series", count, limit, series_text()),
            info ? "max-label-names-per-info-series" : "max-label-names-per-series",
            info ? "max_label_names_per_info_series" : "max_label_names_per_series");
      });
      return false;
    }
  }
  return true;
}

bool IngestRows::check_label(const LabelView& label, std::size_t rows) {
  if (limits_.max_label_name_length != 0 && label.name.size() > limits_.max_label_name_length) {
    rejections_.add("label_name_too_long", rows, [&] {
      return with_error_id(
          fmt::format("received a series whose label name length exceeds the limit (actual: {}, limit: {}), label: "
                      "'{}' series: '{}'",
                      label.name.size(), limits_.max_label_name_length, printable(label.name), series_text()),
          "label-name-too-long", "max_label_name_length");
    });
    return false;
  }
  if (limits_.max_label_value_length != 0 && label.value.size() > limits_.max_label_value_length) {
    rejections_.add("label_value_too_long", rows, [&] {
      return with_error_id(
          fmt::format("received a series whose label value length exceeds the limit (actual: {}, limit: {}), label: "
                      "'{}', value: '{}' (truncated) series: '{}'",
                      label.value.size(), limits_.max_label_value_length, printable(label.name), printable(label.value),
                      series_text()),
          "label-value-too-long", "max_label_value_length");
    });
    return false;
  }
  return check_text(label, rows);
}

bool IngestRows::check_text(const LabelView& label, std::size_t rows) {
  if (label.name.empty() || (!label.known_utf8 && !is_utf8(label.name))) {
    rejections_.add("label_invalid", rows, [&] {
      return with_error_id(fmt::format("received a series with an invalid label: '{}' series: '{}'",
                                       printable(label.name), series_text()),
                           "label-invalid");
    });
    return false;
  }
  if (!label.known_utf8 && !is_utf8(label.value)) {
    if (label.name == kMetricName) {
      rejections_.add("metric_name_invalid", rows, [&] {
        return with_error_id(fmt::format("received a series with invalid metric name: '{}'", printable(label.value)),
                             "metric-name-invalid");
      });
    } else {
      rejections_.add("label_value_invalid", rows, [&] {
        return with_error_id(fmt::format("received a series with invalid value in label '{}': '{}' series: '{}'",
                                         cut(label.name), printable(label.value), series_text()),
                             "label-value-invalid");
      });
    }
    return false;
  }
  return true;
}

// The series as far as it is known, for messages: sorted, and of a known one what it was relabelled to.
std::string IngestRows::series_text() {
  if (open_known_) {
    label_scratch_.clear();
    encoded_->read(open_encoded_, label_scratch_);
    sort_labels();
    bool valid = true;
    if (at_end_ && limits_.rules != nullptr) apply_rules(valid, 0);
  }
  text_scratch_.assign(label_scratch_.begin(), label_scratch_.end());
  std::stable_sort(text_scratch_.begin(), text_scratch_.end(),
                   [](const LabelView& a, const LabelView& b) { return a.name < b.name; });
  std::string name;
  std::string out;
  for (const LabelView& label : text_scratch_) {
    if (out.size() > kTextCut) break;
    if (label.name == kMetricName) {
      name = printable(label.value);
    } else if (!label.value.empty()) {
      out += fmt::format("{}{}={}", out.empty() ? "" : ", ", printable(label.name), go_quote(printable(label.value)));
    }
  }
  std::string text = out.empty() ? name : name + "{" + out + "}";
  if (text.size() > kTextCut) {
    const std::size_t length = cut(text).size();
    text.resize(length);
  }
  return text;
}

void IngestRows::metadata(std::string_view metric, std::string_view type, std::string_view help,
                          std::string_view unit) {
  ++metadata_received_;
  const auto refuse = [&](std::string_view reason, std::string_view id, std::string_view what, std::string_view key) {
    rejections_.add(reason, 0, [&] {
      return with_error_id(fmt::format("received metric metadata {}: '{}'", what, printable(metric)), id, key);
    });
  };
  if (metric.empty())
    return refuse("metadata_missing_metric_name", "metadata-missing-metric-name", "with no metric name", "");
  if (!is_valid_utf8(metric))
    return refuse("metric_name_invalid", "metric-name-invalid", "with an invalid metric name", "");
  const std::size_t limit = limits_.max_metadata_length;
  if (limit != 0 && metric.size() > limit) {
    return refuse("metric_name_too_long", "metric-name-too-long", "whose metric name length exceeds the limit",
                  "max_metadata_length");
  }
  if (limit != 0 && unit.size() > limit) {
    return refuse("unit_too_long", "unit-too-long", "whose unit name length exceeds the limit", "max_metadata_length");
  }
  if (!is_valid_utf8(unit)) return refuse("unit_invalid", "label-value-invalid", "whose unit is not valid UTF-8", "");
  if (!is_valid_utf8(help)) return refuse("help_invalid", "label-value-invalid", "whose help is not valid UTF-8", "");
  if (limit != 0 && help.size() > limit) {
    std::size_t end = limit;
    while (end > 0 && (static_cast<unsigned char>(help[end]) & 0xC0) == 0x80) --end;
    help = help.substr(0, end);
  }
  const std::uint64_t key = hash64(unit, hash64(help, hash64(type, hash64(metric))));
  if (!metadata_seen_.insert(key).second) return;
  metadata_.push_back({std::string(metric), std::string(type), std::string(help), std::string(unit)});
}

AppendBatch IngestRows::batch() {
  series_.clear();
  series_slots_.clear();
  series_.reserve(slots_.size());
  series_slots_.reserve(slots_.size());
  Slot begin;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const Slot& end = slots_[i];
    SeriesRows rows;
    rows.ref = seen_[end.seen].ref;
    rows.labels = end.labels == kNoLabels ? nullptr : &labels_[end.labels];
    rows.floats = std::span(floats_).subspan(begin.floats_end, end.floats_end - begin.floats_end);
    rows.histograms = std::span(histograms_).subspan(begin.histograms_end, end.histograms_end - begin.histograms_end);
    rows.exemplars = std::span(exemplars_).subspan(begin.exemplars_end, end.exemplars_end - begin.exemplars_end);
    begin = end;
    if (rows.floats.empty() && rows.histograms.empty() && rows.exemplars.empty()) continue;
    series_.push_back(rows);
    series_slots_.push_back(static_cast<std::uint32_t>(i));
  }
  return {.series = series_, .metadata = metadata_, .source = this};
}

const Labels* IngestRows::labels(std::size_t index) {
  const Slot& slot = slots_[series_slots_[index]];
  if (slot.labels != kNoLabels) return &labels_[slot.labels];
  label_scratch_.clear();
  encoded_->read(slot.encoded, label_scratch_);
  sort_labels();
  bool valid = true;
  if (limits_.rules != nullptr && apply_rules(valid, 0) != SeriesCache::Fate::stored) return nullptr;
  if (!valid || !check_labels(0)) return nullptr;
  std::vector<Label> labels;
  labels.reserve(label_scratch_.size());
  for (const LabelView& label : label_scratch_) labels.push_back({std::string(label.name), std::string(label.value)});
  return &late_labels_.emplace_back(Labels::from_sorted(std::move(labels)));
}

std::span<const SeriesCache::Seen> IngestRows::seen() {
  bool news = false;
  for (std::size_t i = 0; i < series_.size(); ++i) {
    SeriesCache::Seen& seen = seen_[slots_[series_slots_[i]].seen];
    news |= seen.ref != series_[i].ref && series_[i].ref != 0 && (seen.key || seen.index != SeriesCache::kNone);
    seen.ref = series_[i].ref;
  }
  for (const SeriesCache::Seen& seen : seen_) {
    news |= seen.index == SeriesCache::kNone && seen.key && seen.fate != SeriesCache::Fate::stored;
  }
  return news ? std::span<const SeriesCache::Seen>(seen_) : std::span<const SeriesCache::Seen>();
}

std::size_t IngestRows::memory_bytes() const {
  return floats_.capacity() * sizeof(FloatRow) + histograms_.capacity() * sizeof(HistogramRow) +
         exemplars_.capacity() * sizeof(ExemplarRow) + slots_.capacity() * sizeof(Slot) +
         labels_.capacity() * sizeof(Labels) + seen_.capacity() * sizeof(SeriesCache::Seen) +
         series_.capacity() * (sizeof(SeriesRows) + sizeof(std::uint32_t));
}

}  // namespace tocayo::metrics
