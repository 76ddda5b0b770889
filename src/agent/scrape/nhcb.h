// SPDX-License-Identifier: Apache-2.0
// convert_classic_histograms_to_nhcb: between a parser of an exposition and its reader, the series of a classic
// histogram become one native histogram with custom buckets. Rules: Prometheus' NHCB parser (its documentation of
// scrape_config; cases in nhcb_test.cpp). Collects while lines of one histogram follow each other; a histogram that
// came as a native one as well is left alone; what does not fit together (a cumulative count that falls) is not
// converted.
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/time.h"
#include "metrics/exposition_text.h"
#include "metrics/ingest_histogram.h"

namespace tocayo::agent {

// The numbers of one classic histogram while its lines are read.
class ClassicHistogram {
 public:
  void clear();
  void set_bucket(double bound, double count);
  void set_count(double count);
  void set_sum(double sum) { sum_ = sum; }
  // False when the numbers do not make a histogram.
  bool convert(metrics::HistogramParts& out);

 private:
  struct Bucket {
    double bound, count;  // cumulative
  };
  std::vector<Bucket> buckets_;
  double count_ = 0, sum_ = 0;
  bool has_count_ = false, bad_ = false;
};

// "x_bucket" -> 'b' and "x", "_sum" 's', "_count" 'c'; anything else 0 and the name.
char histogram_suffix(std::string_view name, std::string_view& base);

// Has the shape of the parser that it wraps, with histograms. `keep_classic`: the classic series are returned too.
template <typename Parser>
class NhcbParser {
 public:
  NhcbParser(Parser& inner, bool keep_classic) : inner_(inner), keep_classic_(keep_classic) {}

  Result<metrics::ExpositionEvent> next();

  std::string_view family() const { return inner_.family(); }
  std::string_view text() const { return inner_.text(); }
  std::string_view series() const { return emitting_ ? std::string_view(key_) : inner_.series(); }
  std::string_view name() const { return emitting_ ? std::string_view(base_) : inner_.name(); }
  std::span<const metrics::ExpositionLabel> labels() const { return emitting_ ? std::span(views_) : inner_.labels(); }
  double value() const { return inner_.value(); }
  std::optional<TimestampMs> time() const { return emitting_ ? time_ : inner_.time(); }
  TimestampMs start_time() const { return emitting_ ? start_time_ : inner_.start_time(); }
  const metrics::HistogramParts* histogram() const {
    if (emitting_) return &parts_;
    if constexpr (requires { inner_.histogram(); }) return inner_.histogram();
    return nullptr;
  }
  std::span<const metrics::ExpositionExemplar> exemplars() const {
    if (emitting_) return exemplars_;
    return inner_exemplars();
  }

 private:
  enum class State : unsigned char { start, collecting, inhibited };
  using Event = metrics::ExpositionEvent;

  std::span<const metrics::ExpositionExemplar> inner_exemplars() const {
    if constexpr (requires { inner_.exemplars(); }) {
      return inner_.exemplars();
    } else {
      const auto* one = inner_.exemplar();
      return one == nullptr ? std::span<const metrics::ExpositionExemplar>() : std::span(one, 1);
    }
  }
  bool collect();                        // the sample at hand; false when it is of no classic histogram
  bool same_histogram() const;           // as the one before
  void remember(std::string_view base);  // whose histogram it is
  void remember_exemplars();
  bool finish();  // of what was collected; true when there is a histogram to return

  Parser& inner_;
  const bool keep_classic_;
  State state_ = State::start;
  bool emitting_ = false;
  std::optional<Event> held_;  // read from inner_, but a histogram goes first
  std::string type_family_;
  bool histogram_type_ = false, gauge_type_ = false;

  ClassicHistogram numbers_;
  metrics::HistogramParts parts_;
  std::string base_, key_;
  std::vector<std::pair<std::string, std::string>> labels_;  // without `le`
  std::vector<metrics::ExpositionLabel> views_;              // into labels_
  std::optional<TimestampMs> time_;
  TimestampMs start_time_ = 0;
  struct Exemplar {
    std::vector<std::pair<std::string, std::string>> labels;
    double value;
    std::optional<TimestampMs> time;
  };
  std::vector<Exemplar> collected_;
  std::vector<metrics::ExpositionExemplar> exemplars_;  // views into collected_
};

template <typename Parser>
Result<metrics::ExpositionEvent> NhcbParser<Parser>::next() {
  emitting_ = false;
  for (;;) {
    const Event event = held_ ? *held_ : TRY(inner_.next());
    const bool was_held = held_.has_value();
    held_.reset();
    if (event == Event::sample) {
      if (state_ == State::collecting && !same_histogram() && finish()) {
        held_ = event;
        return Event::histogram;
      }
      if (state_ == State::inhibited && same_histogram()) return event;
      if (state_ == State::inhibited) state_ = State::start;
      if (collect() && !keep_classic_) continue;
      return event;
    }
    if (!was_held && finish()) {
      held_ = event;
      return Event::histogram;
    }
    if (event == Event::histogram) {
      state_ = State::inhibited;
      remember(inner_.name());
    } else if (event == Event::type) {
      type_family_ = inner_.family();
      histogram_type_ = inner_.text() == "histogram";
      // Text says so too, but there Prometheus leaves such families alone.
      gauge_type_ = requires { inner_.histogram(); } && inner_.text() == "gaugehistogram";
    }
    return event;
  }
}

template <typename Parser>
bool NhcbParser<Parser>::same_histogram() const {
  if (!histogram_type_ && !gauge_type_) return false;
  std::string_view base;
  (void)histogram_suffix(inner_.name(), base);
  if (base != base_) return false;
  std::size_t count = 0;
  for (const auto& label : inner_.labels()) {
    if (label.name == "le") continue;
    bool found = count < labels_.size() && labels_[count].first == label.name && labels_[count].second == label.value;
    for (std::size_t i = 0; !found && i < labels_.size(); ++i)
      found = labels_[i].first == label.name && labels_[i].second == label.value;
    if (!found) return false;
    ++count;
  }
  return count == labels_.size();
}

template <typename Parser>
void NhcbParser<Parser>::remember(std::string_view base) {
  base_ = base;
  labels_.clear();
  for (const auto& label : inner_.labels()) {
    if (label.name != "le") labels_.emplace_back(label.name, label.value);
  }
}

template <typename Parser>
bool NhcbParser<Parser>::collect() {
  if (!histogram_type_ && !gauge_type_) return false;
  std::string_view base;
  const char suffix = histogram_suffix(inner_.name(), base);
  if (suffix == 0 || base != type_family_) return false;
  double bound = 0;
  if (suffix == 'b') {
    const metrics::ExpositionLabel* le = nullptr;
    for (const auto& label : inner_.labels()) {
      if (label.name == "le") le = &label;
    }
    if (le == nullptr) return false;
    const std::string text(le->value);
    char* end = nullptr;
    bound = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0' || std::isnan(bound)) return false;
  }
  if (state_ != State::collecting) {
    state_ = State::collecting;
    numbers_.clear();
    collected_.clear();
    remember(base);
    start_time_ = inner_.start_time();
  }
  time_ = inner_.time();
  remember_exemplars();
  if (suffix == 'b')
    numbers_.set_bucket(bound, inner_.value());
  else if (suffix == 'c')
    numbers_.set_count(inner_.value());
  else
    numbers_.set_sum(inner_.value());
  return true;
}

template <typename Parser>
void NhcbParser<Parser>::remember_exemplars() {
  for (const auto& exemplar : inner_exemplars()) {
    collected_.push_back({{}, exemplar.value, exemplar.time});
    for (const auto& label : exemplar.labels) collected_.back().labels.emplace_back(label.name, label.value);
  }
}

template <typename Parser>
bool NhcbParser<Parser>::finish() {
  if (state_ != State::collecting) return false;
  state_ = State::start;
  if (!numbers_.convert(parts_)) return false;
  if (gauge_type_) parts_.hint = metrics::ResetHint::gauge;
  if (!metrics::check_histogram(parts_, {})) return false;
  views_.clear();
  key_ = "\x01";  // no line of a body begins so: the classic series of the same name has other bytes
  key_ += base_;
  for (const auto& [name, value] : labels_) {
    views_.push_back({name, value});
    key_ += '\xff';
    key_ += name;
    key_ += '\xff';
    key_ += value;
  }
  exemplars_.clear();
  for (const Exemplar& exemplar : collected_) {
    exemplars_.push_back({{}, exemplar.value, exemplar.time});
    for (const auto& [name, value] : exemplar.labels) exemplars_.back().labels.push_back({name, value});
  }
  emitting_ = true;
  return true;
}

}  // namespace tocayo::agent
