// SPDX-License-Identifier: Apache-2.0
// Private to ship: some consecutive records of a queue while they are being sent. Rows are dealt to lanes by their
// series; each lane has at most one request under way, so that a series keeps its order, and lanes do not wait for each
// other.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "agent/ship/queue_base.h"
#include "agent/ship/request.h"

namespace tocayo::agent {

// Some rows, or pieces of metadata, that go into one request.
struct Batch {
  std::vector<Item> items;
  std::vector<metrics::MetadataRow> metadata;  // instead of items
  std::size_t rows() const {
    std::size_t sum = 0;
    for (const Item& item : items) sum += item.size();
    return sum;
  }
  std::size_t weight() const {
    std::size_t sum = 0;
    for (const Item& item : items) sum += item.weight();
    return sum;
  }
  // How far it moves its lane: rows, or 1 for metadata.
  std::uint64_t extent() const { return metadata.empty() ? rows() : 1; }
};

struct Lane : LaneState {
  std::deque<Batch> batches;  // the front one is under way or next
  unsigned answered = 0;      // of the attempts, those that the server answered: what Retry-Attempt tells it
  std::string sent_as;        // the queue's name in the request under way
};

struct Window {
  std::vector<std::unique_ptr<RecordRows>> records;
  std::vector<metrics::MetadataRow> metadata;
  std::uint64_t end = 0;      // position behind the last record
  std::uint64_t rows = 0;     // by the records' heads
  std::uint64_t damaged = 0;  // rows of records that could not be read
  bool more = false;          // the queue has more records
  std::vector<Lane> lanes;

  bool empty() const { return records.empty() && damaged == 0; }
  bool done() const;
  // Fills `lanes`; rows older than `oldest` are left out and returned.
  Drop deal(std::size_t lane_count, std::size_t rows_per_batch, TimestampMs oldest);
};

}  // namespace tocayo::agent
