// SPDX-License-Identifier: Apache-2.0
#include "agent/scrape/series_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "agent/scrape/nhcb.h"
#include "metrics/exposition_protobuf.h"

namespace tocayo::agent {

using metrics::ExpositionEvent;
using metrics::ExpositionFormat;

namespace {

constexpr TimestampMs kMaxAhead = 600'000;
constexpr std::size_t kMaxFamilies = 100'000;  // of metadata; more is a target that makes up names without end
constexpr std::uint64_t kMetadataRounds = 10;  // kept so many scrapes after its family was last seen
constexpr std::int32_t kMinSchema = -4, kMaxSchema = 8;

// The finest schema whose growth factor is not below native_histogram_min_bucket_factor.
std::int32_t schema_for(double factor) {
  if (factor <= 1) return kMaxSchema;
  double schema = std::floor(-std::log2(std::log2(factor)));
  return static_cast<std::int32_t>(std::clamp<double>(schema, kMinSchema, kMaxSchema));
}

}  // namespace

struct SeriesCache::Entry {
  metrics::SeriesRef ref = 0;
  std::unique_ptr<Labels> labels;  // null: dropped by metric relabelling
  std::uint64_t hash = 0;          // of the labels
  std::uint64_t seen = 0;          // round of the last body that had it
  std::uint64_t tracked =
      0;              // round of the last body that had it without a timestamp of its own (or those are tracked)
  bool live = false;  // stored at the last scrape and tracked: gets a stale marker when it goes
};

struct SeriesCache::Metadata {
  metrics::MetadataRow row;
  std::uint64_t seen = 0;
  bool changed = false;  // not stored yet
};

// Indices into the row vectors, which may still move while the body is read.
struct SeriesCache::Pending {
  Entry* entry;
  std::size_t row;  // in floats_ or histograms_
  bool histogram;
  bool marker;
  std::size_t exemplar_begin, exemplar_end;
};

SeriesCache::SeriesCache(std::shared_ptr<const ScrapeConfig> config, Labels target_labels)
    : config_(std::move(config)),
      target_labels_(std::move(target_labels)),
      max_schema_(schema_for(config_->native_histogram_min_bucket_factor)) {}
SeriesCache::~SeriesCache() = default;

// ---- labels
// --------------------------------------------------------------------------------------------------------------------

Result<> SeriesCache::check_labels(const Labels& labels) {
  auto refuse = [](std::string text) { return fail(ErrorKind::bad_input, std::move(text)); };
  std::string_view metric = labels.get(kMetricName);
  if (metric.empty()) return refuse("missing metric name (__name__ label)");
  bool valid = config_->utf8_names || is_classic_metric_name(metric);
  for (const Label& label : labels) {
    valid = valid && is_valid_utf8(label.value) &&
            (config_->utf8_names ? is_valid_utf8(label.name) : is_classic_label_name(label.name));
  }
  if (!valid) return refuse(fmt::format("invalid metric name or label names: {}", labels.to_string()));
  auto over = [&](std::string text) {
    refusal_ = ScrapeRefusal::label_limit;
    return fail(ErrorKind::limit, std::move(text));
  };
  if (config_->label_limit > 0 && labels.size() > config_->label_limit) {
    return over(fmt::format("label_limit exceeded (metric: {:.50}, number of labels: {}, limit: {})", metric,
                            labels.size(), config_->label_limit));
  }
  for (const Label& label : labels) {
    if (config_->label_name_length_limit > 0 && label.name.size() > config_->label_name_length_limit) {
      return over(
          fmt::format("label_name_length_limit exceeded (metric: {:.50}, label name: {:.50}, length: {}, limit: {})",
                      metric, label.name, label.name.size(), config_->label_name_length_limit));
    }
    if (config_->label_value_length_limit > 0 && label.value.size() > config_->label_value_length_limit) {
      return over(fmt::format(
          "label_value_length_limit exceeded (metric: {:.50}, label name: {:.50}, value: {}, length: {}, limit: {})",
          metric, label.name, go_quote(fmt::format("{:.50}", label.value)), label.value.size(),
          config_->label_value_length_limit));
    }
  }
  return {};
}

// Null: dropped by metric relabelling.
Result<std::unique_ptr<Labels>> SeriesCache::final_labels(std::string_view name,
                                                          std::span<const metrics::ExpositionLabel> given) {
  std::vector<Label> list;
  list.reserve(given.size() + 1);
  if (!name.empty()) list.push_back({std::string(kMetricName), std::string(name)});
  for (const auto& label : given) list.push_back({std::string(label.name), std::string(label.value)});
  std::sort(list.begin(), list.end(), [](const Label& a, const Label& b) { return a.name < b.name; });
  auto twice =
      std::adjacent_find(list.begin(), list.end(), [](const Label& a, const Label& b) { return a.name == b.name; });
  if (twice != list.end())
    return fail(ErrorKind::bad_input, fmt::format("label name \"{}\" is not unique: invalid sample", twice->name));
  Labels labels(std::move(list));
  if (config_->honor_labels) {
    // A label given as empty is honoured too: the target's does not take its place.
    for (const Label& label : target_labels_) {
      bool is_given = std::any_of(given.begin(), given.end(), [&](const auto& l) { return l.name == label.name; });
      if (!is_given) labels.set(label.name, label.value);
    }
  } else {
    std::vector<Label> conflicts;
    for (const Label& label : target_labels_) {
      if (labels.has(label.name)) conflicts.push_back({label.name, std::string(labels.get(label.name))});
      labels.set(label.name, label.value);
    }
    // Short names first: of `job` and `exported_job` the former gets the shorter new name.
    std::stable_sort(conflicts.begin(), conflicts.end(),
                     [](const Label& a, const Label& b) { return a.name.size() < b.name.size(); });
    for (const Label& conflict : conflicts) {
      std::string renamed = "exported_" + conflict.name;
      while (labels.has(renamed)) renamed = "exported_" + renamed;
      labels.set(renamed, conflict.value);
    }
  }
  if (!relabel(labels, config_->metric_relabel) || labels.empty()) return std::unique_ptr<Labels>();
  TRY(check_labels(labels));
  return std::make_unique<Labels>(std::move(labels));
}

// ---- reading
// -------------------------------------------------------------------------------------------------------------------

template <typename Parser>
void SeriesCache::add_exemplars(const Parser& parser, TimestampMs time) {
  std::size_t first = exemplars_.size();
  auto add = [&](const metrics::ExpositionExemplar& exemplar) {
    std::vector<Label> labels;
    for (const auto& label : exemplar.labels) labels.push_back({std::string(label.name), std::string(label.value)});
    exemplars_.push_back({Labels(std::move(labels)), exemplar.value, exemplar.time.value_or(time)});
  };
  if constexpr (requires { parser.exemplars(); }) {
    for (const auto& exemplar : parser.exemplars()) add(exemplar);
  } else if (const auto* exemplar = parser.exemplar()) {
    add(*exemplar);
  }
  std::stable_sort(exemplars_.begin() + static_cast<std::ptrdiff_t>(first), exemplars_.end(),
                   [](const auto& a, const auto& b) { return a.time != b.time ? a.time < b.time : a.value < b.value; });
}

// False: over the bucket limit, whatever the resolution. The scrape fails, but is counted to its end.
Result<bool> SeriesCache::add_histogram(const metrics::HistogramParts& parts, std::string_view name, TimestampMs at,
                                        TimestampMs start) {
  auto checked = metrics::check_histogram(parts, {});
  if (!checked) return fail(ErrorKind::bad_input, fmt::format("{}: {}", name, checked.error().text));
  metrics::HistogramPtr histogram = std::move(*checked);
  const std::size_t limit = config_->native_histogram_bucket_limit;
  auto too_many = [&](const metrics::FloatHistogram& h) {
    return limit > 0 && h.positive_buckets.size() + h.negative_buckets.size() > limit;
  };
  if ((!histogram->uses_custom_buckets() && histogram->schema > max_schema_) || too_many(*histogram)) {
    auto reduced = std::make_shared<metrics::FloatHistogram>(*histogram);
    if (!reduced->uses_custom_buckets() && reduced->schema > max_schema_) TRY(reduced->reduce_resolution(max_schema_));
    while (too_many(*reduced)) {
      if (reduced->uses_custom_buckets() || reduced->schema <= kMinSchema) return false;
      TRY(reduced->reduce_resolution(reduced->schema - 1));
    }
    histogram = std::move(reduced);
  }
  histograms_.push_back({at, std::move(histogram), !parts.is_float, start});
  return true;
}

template <typename Parser>
Result<> SeriesCache::read_sample(Parser& parser, bool is_histogram, TimestampMs time) {
  ++counts_.scraped;
  auto it = entries_.find(parser.series());
  std::unique_ptr<Entry> fresh;
  if (it == entries_.end()) {
    fresh = std::make_unique<Entry>();
    fresh->labels = TRY(final_labels(parser.name(), parser.labels()));
    if (fresh->labels) fresh->hash = fresh->labels->hash();
  }
  Entry* entry = fresh ? fresh.get() : it->second.get();
  auto keep_entry = [&] {
    if (fresh) entries_.emplace(std::string(parser.series()), std::move(fresh));
  };
  bool again = entry->seen == round_;
  entry->seen = round_;
  if (!entry->labels) {
    keep_entry();
    return {};
  }
  ++counts_.kept;
  bool explicit_time = config_->honor_timestamps && parser.time().has_value();
  TimestampMs at = explicit_time ? *parser.time() : time;
  if (again && !explicit_time) {
    ++counts_.duplicates;
    return {};
  }
  if (at > time + kMaxAhead) {
    ++counts_.out_of_bounds;
    return {};
  }
  // Over a limit nothing is stored, nor kept in the cache, but counted to the end of the body.
  if (config_->sample_limit > 0 && ++samples_ > config_->sample_limit) {
    refusal_ = ScrapeRefusal::sample_limit;
    return {};
  }
  Pending pending{entry, floats_.size(), is_histogram, false, exemplars_.size(), 0};
  if constexpr (requires { parser.histogram(); }) {
    if (is_histogram) {
      pending.row = histograms_.size();
      if (!TRY(add_histogram(*parser.histogram(), parser.name(), at, parser.start_time()))) {
        if (refusal_ == ScrapeRefusal::none) refusal_ = ScrapeRefusal::bucket_limit;
        return {};
      }
    }
  }
  if (!is_histogram) floats_.push_back({at, parser.value(), parser.start_time()});
  add_exemplars(parser, at);
  pending.exemplar_end = exemplars_.size();
  if (!explicit_time || config_->track_timestamps_staleness) entry->tracked = round_;
  pending_.push_back(pending);
  if (fresh && refusal_ == ScrapeRefusal::none) ++counts_.added;
  keep_entry();
  return {};
}

template <typename Parser>
Result<> SeriesCache::read_all(Parser& parser, TimestampMs time) {
  for (;;) {
    ExpositionEvent event = TRY(parser.next());
    switch (event) {
      case ExpositionEvent::end: return {};
      case ExpositionEvent::comment: break;
      case ExpositionEvent::sample: TRY(read_sample(parser, false, time)); break;
      case ExpositionEvent::histogram: TRY(read_sample(parser, true, time)); break;
      default: note_metadata(event, parser.family(), parser.text());
    }
  }
}

template <typename Parser>
Result<> SeriesCache::read_with(Parser& parser, TimestampMs time) {
  if (!config_->convert_classic_histograms_to_nhcb) return read_all(parser, time);
  NhcbParser<Parser> converting(parser, config_->always_scrape_classic_histograms);
  return read_all(converting, time);
}

void SeriesCache::begin() {
  pending_.clear();
  floats_.clear();
  report_floats_.clear();
  histograms_.clear();
  exemplars_.clear();
  gone_.clear();
}

Result<> SeriesCache::read(std::string_view body, ExpositionFormat format, TimestampMs time, ScrapeRows& out) {
  out = {};
  counts_ = {};
  samples_ = 0;
  refusal_ = ScrapeRefusal::none;
  if (body.empty()) {
    vanish(time, out);
    return {};
  }
  begin();
  ++round_;
  Result<> done;
  if (format == ExpositionFormat::protobuf) {
    metrics::ExpositionProtobufParser parser(body, {.classic_too = config_->always_scrape_classic_histograms,
                                                    .ignore_native = !config_->scrape_native_histograms});
    done = read_with(parser, time);
  } else {
    metrics::ExpositionTextParser parser(body, {.openmetrics = format == ExpositionFormat::openmetrics});
    done = read_with(parser, time);
  }
  out = counts_;
  if (done && refusal_ == ScrapeRefusal::sample_limit) done = fail(ErrorKind::limit, "sample limit exceeded");
  if (done && refusal_ == ScrapeRefusal::bucket_limit) done = fail(ErrorKind::limit, "histogram bucket limit exceeded");
  if (!done) {
    if (refusal_ == ScrapeRefusal::none) refusal_ = ScrapeRefusal::other;
    failed_ = true;
    return done;
  }
  failed_ = false;
  std::vector<Entry*> candidates;
  for (auto it = entries_.begin(); it != entries_.end();) {
    Entry& entry = *it->second;
    if (entry.live && entry.tracked != round_) candidates.push_back(&entry);
    it = entry.seen == round_ ? std::next(it) : set_aside(it);
  }
  successful_size_ = entries_.size();
  add_markers(std::move(candidates), time, nullptr);
  forget_old_metadata();
  make_rows(out);
  return {};
}

SeriesCache::Series::iterator SeriesCache::set_aside(Series::iterator it) {
  gone_.push_back(std::move(it->second));
  return entries_.erase(it);
}

// Stale markers, but not for labels that other bytes of the body lead to as well (labels in another order,
// relabelling).
void SeriesCache::add_markers(std::vector<Entry*> candidates, TimestampMs time, const SeriesCache* successor) {
  if (candidates.empty()) return;
  auto before = [](const Entry* a, const Entry* b) {
    return a->hash != b->hash ? a->hash < b->hash : *a->labels < *b->labels;
  };
  std::sort(candidates.begin(), candidates.end(), before);
  for (Entry* entry : candidates) entry->live = false;
  candidates.erase(std::unique(candidates.begin(), candidates.end(), [&](auto* a, auto* b) { return !before(a, b); }),
                   candidates.end());
  std::vector<bool> goes_on(candidates.size());
  auto found = [&](const Entry* entry) {
    auto it = std::lower_bound(candidates.begin(), candidates.end(), entry, before);
    if (it != candidates.end() && !before(entry, *it))
      goes_on[static_cast<std::size_t>(it - candidates.begin())] = true;
  };
  for (const Pending& pending : pending_) {
    if (pending.entry->tracked == round_) found(pending.entry);
  }
  if (successor) {
    for (const auto& [key, entry] : successor->entries_) {
      if (entry->live) found(entry.get());
    }
  }
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (goes_on[i]) continue;
    pending_.push_back({candidates[i], floats_.size(), false, true, 0, 0});
    floats_.push_back({time, metrics::kStaleNaN, 0});
  }
}

void SeriesCache::make_rows(ScrapeRows& out) {
  out.series.reserve(pending_.size() + 8);
  for (const Pending& pending : pending_) {
    metrics::SeriesRows rows;
    rows.ref = pending.entry->ref;
    rows.labels = pending.entry->labels.get();
    if (pending.histogram)
      rows.histograms = std::span(histograms_).subspan(pending.row, 1);
    else
      rows.floats = std::span(floats_).subspan(pending.row, 1);
    rows.exemplars =
        std::span(exemplars_).subspan(pending.exemplar_begin, pending.exemplar_end - pending.exemplar_begin);
    out.series.push_back(rows);
  }
  if (!metadata_pending_) return;
  for (const auto& [family, metadata] : metadata_) {
    if (metadata->changed) out.metadata.push_back(metadata->row);
  }
}

void SeriesCache::vanish(TimestampMs time, ScrapeRows& out, const SeriesCache* successor) {
  out.series.clear();
  out.metadata.clear();
  begin();
  if (!failed_) ++round_;
  failed_ = false;
  std::vector<Entry*> candidates;
  for (auto& [key, entry] : entries_) {
    if (entry->live) candidates.push_back(entry.get());
  }
  add_markers(std::move(candidates), time, successor);
  // Bodies that differ every time and are all refused must not fill the memory.
  if (entries_.size() + metadata_.size() > 2 * successful_size_ + 1000) forget_absent();
  make_rows(out);
}

void SeriesCache::forget_absent() {
  for (auto it = entries_.begin(); it != entries_.end();)
    it = it->second->seen == round_ ? std::next(it) : set_aside(it);
  forget_old_metadata();
}

void SeriesCache::add_report(std::string_view name, TimestampMs time, double value, ScrapeRows& out) {
  auto& slot = reports_[std::string(name)];
  if (!slot) {
    slot = std::make_unique<Entry>();
    slot->labels = std::make_unique<Labels>(target_labels_);
    slot->labels->set(kMetricName, name);
  }
  report_floats_.push_back({time, value, 0});
  metrics::SeriesRows rows;
  rows.ref = slot->ref;
  rows.labels = slot->labels.get();
  rows.floats = std::span(&report_floats_.back(), 1);
  out.series.push_back(rows);
  pending_.push_back({slot.get(), 0, false, true, 0, 0});
}

void SeriesCache::remember(const ScrapeRows& rows) {
  for (std::size_t i = 0; i < rows.series.size() && i < pending_.size(); ++i) {
    Entry& entry = *pending_[i].entry;
    entry.ref = rows.series[i].ref;
    if (!pending_[i].marker) entry.live = entry.tracked == round_;
  }
  if (!rows.metadata.empty()) {
    for (auto& [family, metadata] : metadata_) metadata->changed = false;
    metadata_pending_ = false;
  }
}

// ---- metadata
// ------------------------------------------------------------------------------------------------------------------

void SeriesCache::note_metadata(ExpositionEvent event, std::string_view family, std::string_view text) {
  auto it = metadata_.find(family);
  if (it == metadata_.end()) {
    if (metadata_.size() >= kMaxFamilies) return;
    auto fresh = std::make_unique<Metadata>();
    fresh->row = {std::string(family), "unknown", "", ""};
    fresh->changed = true;
    it = metadata_.emplace(std::string(family), std::move(fresh)).first;
    metadata_pending_ = true;
    ++metadata_version_;
  }
  Metadata& metadata = *it->second;
  metadata.seen = round_;
  std::string& field = event == ExpositionEvent::help   ? metadata.row.help
                       : event == ExpositionEvent::type ? metadata.row.type
                                                        : metadata.row.unit;
  if (field == text) return;
  field = text;
  metadata.changed = true;
  metadata_pending_ = true;
  ++metadata_version_;
}

void SeriesCache::forget_old_metadata() {
  std::size_t erased =
      std::erase_if(metadata_, [&](const auto& entry) { return round_ - entry.second->seen > kMetadataRounds; });
  if (erased > 0) ++metadata_version_;
}

std::vector<metrics::MetadataRow> SeriesCache::metadata() const {
  std::vector<metrics::MetadataRow> list;
  for (const auto& [family, metadata] : metadata_) list.push_back(metadata->row);
  return list;
}

}  // namespace tocayo::agent
