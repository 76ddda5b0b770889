// SPDX-License-Identifier: Apache-2.0
#include "agent/scrape/series_cache.h"

#include <fmt/format.h>

#include <algorithm>

#include "metrics/exposition_protobuf.h"
#include "metrics/ingest_histogram.h"

namespace tocayo::agent {

using metrics::ExpositionEvent;
using metrics::ExpositionFormat;

struct SeriesCache::Entry {
  metrics::SeriesRef ref = 0;
  std::unique_ptr<Labels> labels;  // null: dropped by metric relabelling
  std::uint64_t seen = 0;          // round of the last scrape that had it
  bool tracked = false;            // gets a stale marker when it goes
};

// Indices into the row vectors, which may still move while the body is read.
struct SeriesCache::Pending {
  Entry* entry;
  std::size_t row;        // in floats_ or histograms_
  bool histogram;
  std::size_t exemplar_begin, exemplar_end;
};

SeriesCache::SeriesCache(std::shared_ptr<const ScrapeConfig> config, Labels target_labels)
    : config_(std::move(config)), target_labels_(std::move(target_labels)) {}
SeriesCache::~SeriesCache() = default;

Result<std::unique_ptr<Labels>> SeriesCache::final_labels(std::string_view name, std::span<const metrics::ExpositionLabel> given) const {
  std::vector<Label> list;
  if (!name.empty()) list.push_back({std::string(kMetricName), std::string(name)});
  for (const auto& label : given) list.push_back({std::string(label.name), std::string(label.value)});
  Labels labels(std::move(list));
  if (config_->honor_labels) {
    for (const Label& label : target_labels_) {
      bool given_empty = std::any_of(given.begin(), given.end(), [&](const auto& l) { return l.name == label.name; });
      if (!given_empty && !labels.has(label.name)) labels.set(label.name, label.value);
    }
  } else {
    std::vector<Label> conflicts;
    for (const Label& label : target_labels_) {
      if (labels.has(label.name)) conflicts.push_back({label.name, std::string(labels.get(label.name))});
      labels.set(label.name, label.value);
    }
    for (const Label& conflict : conflicts) {
      std::string renamed = "exported_" + conflict.name;
      while (labels.has(renamed)) renamed = "exported_" + renamed;
      labels.set(renamed, conflict.value);
    }
  }
  if (!relabel(labels, config_->metric_relabel)) return std::unique_ptr<Labels>();
  if (labels.empty()) return std::unique_ptr<Labels>();
  auto refuse = [&](std::string text) { return fail(ErrorKind::bad_input, std::move(text)); };
  std::string_view metric = labels.get(kMetricName);
  if (metric.empty()) return refuse(fmt::format("a series without a metric name: {}", labels.to_string()));
  if (!config_->utf8_names && !is_classic_metric_name(metric)) return refuse(fmt::format("invalid metric name: {}", metric));
  if (config_->label_limit > 0 && labels.size() > config_->label_limit) {
    return refuse(fmt::format("label_limit exceeded (metric: {:.50}, number of labels: {}, limit: {})", metric, labels.size(), config_->label_limit));
  }
  for (const Label& label : labels) {
    if (config_->label_name_length_limit > 0 && label.name.size() > config_->label_name_length_limit) {
      return refuse(fmt::format("label_name_length_limit exceeded (metric: {:.50}, label name: {:.50}, length: {}, limit: {})", metric, label.name,
                                label.name.size(), config_->label_name_length_limit));
    }
    if (config_->label_value_length_limit > 0 && label.value.size() > config_->label_value_length_limit) {
      return refuse(fmt::format("label_value_length_limit exceeded (metric: {:.50}, label name: {:.50}, value: {:.50}, length: {}, limit: {})", metric,
                                label.name, label.value, label.value.size(), config_->label_value_length_limit));
    }
  }
  return std::make_unique<Labels>(std::move(labels));
}

template <typename Parser>
Result<SeriesCache::Entry*> SeriesCache::find(const Parser& parser) {
  auto it = entries_.find(parser.series());
  if (it == entries_.end()) {
    auto entry = std::make_unique<Entry>();
    entry->labels = TRY(final_labels(parser.name(), parser.labels()));
    it = entries_.emplace(std::string(parser.series()), std::move(entry)).first;
  }
  return it->second.get();
}

template <typename Parser>
void SeriesCache::add_exemplars(const Parser& parser, std::size_t, TimestampMs time) {
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
}

template <typename Parser>
Result<> SeriesCache::read_all(Parser& parser, TimestampMs time) {
  for (;;) {
    ExpositionEvent event = TRY(parser.next());
    if (event == ExpositionEvent::end) return {};
    if (event == ExpositionEvent::comment) continue;
    if (event != ExpositionEvent::sample && event != ExpositionEvent::histogram) {
      note_metadata(event, parser.family(), parser.text());
      continue;
    }
    ++scraped_;
    Entry* entry = TRY(find(parser));
    if (!entry->labels) continue;
    bool explicit_time = config_->honor_timestamps && parser.time().has_value();
    TimestampMs at = explicit_time ? *parser.time() : time;
    Pending pending{entry, 0, event == ExpositionEvent::histogram, exemplars_.size(), 0};
    if constexpr (requires { parser.histogram(); }) {
      if (event == ExpositionEvent::histogram) {
        metrics::IngestLimits limits;
        limits.max_native_histogram_buckets = config_->native_histogram_bucket_limit;
        auto checked = metrics::check_histogram(*parser.histogram(), limits);
        if (!checked) return fail(ErrorKind::bad_input, fmt::format("{}: {}", parser.name(), checked.error().text));
        pending.row = histograms_.size();
        histograms_.push_back({at, std::move(*checked), !parser.histogram()->is_float, parser.start_time()});
      }
    }
    if (!pending.histogram) {
      pending.row = floats_.size();
      floats_.push_back({at, parser.value(), parser.start_time()});
    }
    add_exemplars(parser, pending.row, time);
    pending.exemplar_end = exemplars_.size();
    if (entry->seen != round_ && entry->seen + 1 != round_) ++added_;
    entry->seen = round_;
    entry->tracked = !explicit_time || config_->track_timestamps_staleness;
    pending_.push_back(pending);
    ++kept_;
    if (config_->sample_limit > 0 && kept_ > config_->sample_limit) return fail(ErrorKind::limit, "sample limit exceeded");
  }
}

void SeriesCache::note_metadata(ExpositionEvent event, std::string_view family, std::string_view text) {
  auto it = metadata_.find(family);
  if (it == metadata_.end()) {
    if (metadata_.size() >= 100'000) return;  // a target that makes up families without end
    it = metadata_.emplace(std::string(family), metrics::MetadataRow{std::string(family), "unknown", "", ""}).first;
    metadata_changed_.emplace_back(family);
  }
  std::string& field = event == ExpositionEvent::help ? it->second.help : event == ExpositionEvent::type ? it->second.type : it->second.unit;
  if (field == text) return;
  field = text;
  if (metadata_changed_.empty() || metadata_changed_.back() != family) metadata_changed_.emplace_back(family);
}

Result<> SeriesCache::read(std::string_view body, ExpositionFormat format, TimestampMs time, ScrapeRows& out) {
  out = {};
  pending_.clear();
  floats_.clear();
  histograms_.clear();
  exemplars_.clear();
  metadata_changed_.clear();
  scraped_ = kept_ = added_ = 0;
  ++round_;
  Result<> done;
  if (format == ExpositionFormat::protobuf) {
    metrics::ExpositionProtobufParser parser(body, {.classic_too = config_->always_scrape_classic_histograms,
                                                    .ignore_native = !config_->scrape_native_histograms});
    done = read_all(parser, time);
  } else {
    metrics::ExpositionTextParser parser(body, {.openmetrics = format == ExpositionFormat::openmetrics});
    done = read_all(parser, time);
  }
  out.scraped = scraped_;
  out.kept = kept_;
  if (!done) return std::unexpected(done.error());
  out.added = added_;
  finish(time, out);
  return {};
}

void SeriesCache::finish(TimestampMs time, ScrapeRows& out) {
  std::size_t stale_from = floats_.size();
  for (auto it = entries_.begin(); it != entries_.end();) {
    Entry& entry = *it->second;
    if (entry.seen == round_ || (entry.labels == nullptr && entry.seen == 0)) {
      ++it;
      continue;
    }
    // Seen last time, not now: one marker; then forgotten two scrapes later, when the row that borrows its labels is long gone.
    if (entry.seen + 1 == round_ && entry.tracked) {
      pending_.push_back({&entry, floats_.size(), false, 0, 0});
      floats_.push_back({time, metrics::kStaleNaN, 0});
    }
    if (entry.seen + 2 < round_) it = entries_.erase(it);
    else ++it;
  }
  (void)stale_from;
  out.series.reserve(pending_.size() + 8);
  for (const Pending& pending : pending_) {
    metrics::SeriesRows rows;
    rows.ref = pending.entry->ref;
    rows.labels = pending.entry->labels.get();
    if (pending.histogram) rows.histograms = std::span(histograms_).subspan(pending.row, 1);
    else rows.floats = std::span(floats_).subspan(pending.row, 1);
    rows.exemplars = std::span(exemplars_).subspan(pending.exemplar_begin, pending.exemplar_end - pending.exemplar_begin);
    out.series.push_back(rows);
  }
  for (const std::string& family : metadata_changed_) out.metadata.push_back(metadata_.find(family)->second);
}

void SeriesCache::vanish(TimestampMs time, ScrapeRows& out) {
  std::size_t scraped = out.scraped, kept = out.kept;
  out = {};
  out.scraped = scraped;
  out.kept = kept;
  pending_.clear();
  floats_.clear();
  histograms_.clear();
  exemplars_.clear();
  metadata_changed_.clear();
  std::uint64_t last = round_;
  round_ += 2;  // nobody of before counts as seen last time any more
  for (auto& [key, entry] : entries_) {
    if (entry->labels && entry->tracked && entry->seen + 1 >= last && entry->seen != 0) {
      pending_.push_back({entry.get(), floats_.size(), false, 0, 0});
      floats_.push_back({time, metrics::kStaleNaN, 0});
    }
    entry->tracked = false;
  }
  for (const Pending& pending : pending_) {
    metrics::SeriesRows rows;
    rows.ref = pending.entry->ref;
    rows.labels = pending.entry->labels.get();
    rows.floats = std::span(floats_).subspan(pending.row, 1);
    out.series.push_back(rows);
  }
}

void SeriesCache::add_report(std::string_view name, TimestampMs time, double value, ScrapeRows& out) {
  auto& slot = reports_[std::string(name)];
  if (!slot) {
    slot = std::make_unique<Entry>();
    slot->labels = std::make_unique<Labels>(target_labels_);
    slot->labels->set(kMetricName, name);
  }
  // The rows borrow from floats_: it must not move any more once spans into it are out.
  if (floats_.size() == floats_.capacity()) {
    const metrics::FloatRow* before = floats_.data();
    floats_.reserve(floats_.size() + 64);
    for (auto& rows : out.series) {
      if (!rows.floats.empty()) rows.floats = std::span(floats_).subspan(static_cast<std::size_t>(rows.floats.data() - before), 1);
    }
  }
  floats_.push_back({time, value, 0});
  metrics::SeriesRows rows;
  rows.ref = slot->ref;
  rows.labels = slot->labels.get();
  rows.floats = std::span(floats_).last(1);
  out.series.push_back(rows);
  pending_.push_back({slot.get(), floats_.size() - 1, false, 0, 0});
}

void SeriesCache::remember(const ScrapeRows& rows) {
  for (std::size_t i = 0; i < rows.series.size() && i < pending_.size(); ++i) pending_[i].entry->ref = rows.series[i].ref;
}

std::vector<metrics::MetadataRow> SeriesCache::metadata() const {
  std::vector<metrics::MetadataRow> list;
  for (const auto& [family, row] : metadata_) list.push_back(row);
  return list;
}

}  // namespace tocayo::agent
