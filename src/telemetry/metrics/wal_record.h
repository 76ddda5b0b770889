// SPDX-License-Identifier: Apache-2.0
// What one request leaves in a shard's journal partition, as one record: every part of it is replayed or none. A record
// decodes by itself but for series ids, which it or an earlier record (or the checkpoint) defines: a damaged record
// never bends a later one. Byte layout: docs/formats/metrics-segment.md.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/labels.h"
#include "metrics/appender.h"
#include "metrics/codec.h"
#include "metrics/hist_codec.h"
#include "metrics/label_index.h"

namespace tocayo::metrics {

enum class WalKind : std::uint8_t {
  request = 1,
  abort = 2,  // payload: varint position of a record whose rows must not be replayed
};

// Builds one record. Reused: begin() forgets, the memory stays.
class WalEncoder {
 public:
  void begin(std::string_view tenant);
  void series(SeriesId id, const Labels& labels);
  void row(SeriesId id, const Row& row);
  void histogram(SeriesId id, const HistRow& row);
  void exemplar(SeriesId id, const ExemplarRow& row);
  void metadata(const MetadataRow& row);
  bool empty() const { return sections_ == 0; }
  // Valid until the next begin().
  std::string_view finish();

 private:
  struct Section {
    std::string bytes;
    std::uint64_t count = 0;
    void clear() {
      bytes.clear();
      count = 0;
    }
  };
  std::string tenant_;
  Section series_, rows_, histograms_, exemplars_, metadata_;
  Labels previous_labels_;
  SeriesId previous_id_ = 0;
  TimestampMs previous_time_ = 0;
  TimestampMs previous_start_ = 0;
  std::size_t sections_ = 0;
  std::string record_, scratch_;
};

class WalVisitor {
 public:
  virtual ~WalVisitor() = default;
  virtual void tenant(std::string_view name) = 0;  // first
  virtual void series(SeriesId id, Labels labels) = 0;
  virtual void row(SeriesId id, const Row& row) = 0;
  virtual void histogram(SeriesId id, const HistRow& row) = 0;
  virtual void exemplar(SeriesId id, ExemplarRow row) = 0;
  virtual void metadata(MetadataRow row) = 0;
};
// False when the bytes are damaged; what came before the damage was visited.
bool decode_wal_record(std::string_view record, WalVisitor& visitor);

// Label sets one after the other, each as its difference to the one before; shared with checkpoints.
void put_labels(std::string& out, const Labels& labels, Labels& previous);
bool get_labels(std::span<const std::uint8_t>& in, Labels& labels, const Labels& previous);
void put_varint(std::string& out, std::uint64_t value);
void put_text(std::string& out, std::string_view text);
bool get_text(std::span<const std::uint8_t>& in, std::string_view& text);

}  // namespace tocayo::metrics
