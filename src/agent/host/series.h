// SPDX-License-Identifier: Apache-2.0
// Series identity of one collector. A collector declares families once and then puts values; the table finds the series
// that belongs to (family, label values) without building labels: collectors emit in the same order every time, so the
// series that followed last time is tried first (one compare), then a hash table.
#pragma once

#include <cstdint>
#include <deque>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/labels.h"

namespace tocayo::agent {

enum class FamilyType : unsigned char { counter, gauge, untyped, histogram, summary };
// "counter", "gauge", "untyped", …: the word of the text format's # TYPE line.
std::string_view to_string(FamilyType type);

struct Family {
  std::string name;
  std::string help;  // may be empty
  FamilyType type;
  std::vector<std::string> label_names;
};

// One time series as a collector sees it. Owned jointly by the table and by consumers that still have to mark it stale.
struct Series {
  const Family* family;  // lives as long as the collector
  Labels labels;         // complete: __name__, own and constant labels
  std::string name;      // family name, or with _bucket/_sum/_count

  // The one appending consumer's notes; the table sets them to 0 on creation and never reads them.
  std::uint64_t consumer_ref = 0;
  std::uint64_t consumer_mark = 0;

  // The table's own.
  std::string key;
  std::uint64_t hash = 0;
  std::uint64_t round = 0;
  std::int64_t last_seen = 0;  // seconds, steady
};

struct Sample {
  std::shared_ptr<Series> series;
  double value;
};

// Families and series of one collector. One thread at a time.
class Writer {
 public:
  // `constant` is added to every series; an own label of the same name becomes `exported_<name>`, as for a scraped
  // target.
  explicit Writer(Labels constant) : constant_(std::move(constant)) {}
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Declares (or finds) a family. The reference stays valid as long as the table.
  const Family& family(std::string_view name, FamilyType type, std::string_view help = {},
                       std::initializer_list<std::string_view> label_names = {});
  const Family& counter(std::string_view name, std::string_view help = {},
                        std::initializer_list<std::string_view> names = {}) {
    return family(name, FamilyType::counter, help, names);
  }
  const Family& gauge(std::string_view name, std::string_view help = {},
                      std::initializer_list<std::string_view> names = {}) {
    return family(name, FamilyType::gauge, help, names);
  }

  // One sample. `values` stand for the family's label names, in order; empty values are left out of the label set. A
  // series put twice in one round keeps its first value.
  void put(const Family& family, double value) { put_values(family, {}, value); }
  void put(const Family& family, std::initializer_list<std::string_view> values, double value) {
    put_values(family, std::span(values.begin(), values.size()), value);
  }
  void put_values(const Family& family, std::span<const std::string_view> values, double value);
  // One sample with labels of its own (textfile); `name` is the sample's name within the family.
  void put_labels(const Family& family, std::string_view name, std::span<const Label> labels, double value);

  // A round is one collection. `now` in steady seconds. begin() forgets the samples of the last round and frees series
  // that were not seen for ten minutes.
  void begin(std::int64_t now);
  std::span<const Sample> samples() const { return samples_; }
  // Drops this round's samples (the collector failed).
  void clear() { samples_.clear(); }
  std::size_t series_count() const { return count_; }
  // The last family declared under this name, or null.
  const Family* find_family(std::string_view name) const;

 private:
  using Slot = std::shared_ptr<Series>;  // shared: consumers keep a series until they have written its stale marker

  bool try_next(const Family& family, std::span<const std::string_view> pieces, double value);
  Slot& find(const Family& family, std::string_view name);
  void take(const Slot& slot, double value);
  void grow();
  void retire(std::int64_t now);
  Labels make_labels(std::string_view name, std::span<const Label> own) const;

  Labels constant_;
  std::deque<Family> families_;
  std::vector<Slot> table_;  // open addressing, power of two
  std::size_t count_ = 0;
  std::vector<Slot> order_;  // as emitted last round
  std::size_t next_ = 0;
  std::vector<Sample> samples_;
  std::string scratch_;
  std::uint64_t round_ = 0;
  std::int64_t now_ = 0;
  std::int64_t retired_at_ = 0;
};

}  // namespace tocayo::agent
