// SPDX-License-Identifier: Apache-2.0
// Replay: the lines that the journal has beyond the last cuts come back into heads.
//
// Records are taken in groups. Those of one group are decoded by as many threads as there are, each as a whole, while
// the group before is applied: the streams are divided into shards by their hash, and a shard is one thread's at a
// time, which puts the rows of its streams where they belong in the order of the journal. So each stream gets the rows
// it had before, and a shard needs no lock but for a stream that is new to a head. What a record is to the store (its
// tenant's head, and whether that is full) is decided between the groups, in order, by the thread that reads.
#include <algorithm>
#include <array>
#include <chrono>
#include <deque>

#include "core/hash.h"
#include "core/log.h"
#include "core/pool.h"
#include "logs/head/label_bytes.h"
#include "logs/store/store_impl.h"

namespace tocayo::logs {
namespace {

constexpr std::size_t kShards = 16;                 // more than threads: they differ in size
constexpr std::uint64_t kGroupBytes = 16ULL << 20;  // of records, decompressed; at least one record
constexpr std::size_t kGroupRecords = 512;

// Where the rows of a stream go.
struct Place {
  const Tenant* tenant = nullptr;
  std::uint64_t key = 0;
  Head* head = nullptr;
  HeadStream* rows = nullptr;                        // in that head
  std::unique_ptr<std::vector<HeadStream*>> before;  // in older heads; null without any
};

// The streams of a shard that were met so far, by key (and labels).
class Places {
 public:
  // The place of the stream, or an empty one to be filled in.
  Place& find(const Tenant& tenant, std::uint64_t key, std::string_view labels) {
    if ((used_ + 1) * 2 > slots_.size()) grow();
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = key & mask;
    for (; slots_[at].tenant != nullptr; at = (at + 1) & mask) {
      const Place& place = slots_[at];
      if (place.key == key && place.tenant == &tenant && place.rows->stream().labels == labels) return slots_[at];
    }
    ++used_;
    slots_[at].tenant = &tenant;
    slots_[at].key = key;
    return slots_[at];
  }
  void prefetch(std::uint64_t key) const {
    if (!slots_.empty()) __builtin_prefetch(&slots_[key & (slots_.size() - 1)]);
  }

 private:
  void grow() {
    std::vector<Place> old(std::max<std::size_t>(64, slots_.size() * 2));
    old.swap(slots_);
    const std::size_t mask = slots_.size() - 1;
    for (Place& place : old) {
      if (place.tenant == nullptr) continue;
      std::size_t at = place.key & mask;
      while (slots_[at].tenant != nullptr) at = (at + 1) & mask;
      slots_[at] = std::move(place);
    }
  }
  std::vector<Place> slots_;  // a power of two
  std::size_t used_ = 0;
};

}  // namespace

class StoreImpl::Replayer {
 public:
  explicit Replayer(StoreImpl& store) : store_(store), time_(store.now()) {}

  void take(const journal::Record& record) {
    const std::uint64_t size =
        std::max<std::uint64_t>(record_body_size(record.payload).value_or(0), record.payload.size());
    if (loading_.count == kGroupRecords || (loading_.count > 0 && loading_.bytes + size > kGroupBytes)) advance();
    if (loading_.count == loading_.records.size()) loading_.records.emplace_back();
    Loaded& loaded = loading_.records[loading_.count++];
    loading_.bytes += size;
    loaded.position = record.position;
    loaded.kind = record.kind;
    loaded.payload.assign(record.payload);
    loaded.size = size;
  }

  void finish() {
    while (loading_.count > 0 || applying_.count > 0) advance();
  }

  std::uint64_t records() const { return records_; }
  std::uint64_t bad() const { return bad_; }
  std::uint64_t lines() const {
    std::uint64_t total = 0;
    for (const Shard& shard : shards_) total += shard.lines;
    return total;
  }

 private:
  // The rows of a stream in a record.
  struct Part {
    std::string_view labels;
    std::uint64_t hash = 0;  // of the labels
    std::uint64_t key = 0;   // the same for another tenant's stream only by chance
    std::span<const RecordRow> rows;
  };
  struct Loaded {
    std::uint64_t position = 0;
    std::uint8_t kind = 0;
    std::string payload;
    std::uint64_t size = 0;    // of it and of what it is decompressed
    std::uint64_t memory = 0;  // that was ever needed for one
    RecordReader reader;
    std::optional<Error> damage;
    std::shared_ptr<Tenant> tenant;
    std::array<std::vector<Part>, kShards> parts;
    std::uint64_t line_bytes = 0;
    std::shared_ptr<Head> head;  // null: nothing to apply
    std::shared_ptr<const View> view;
  };
  struct Group {
    std::deque<Loaded> records;  // used again; the first `count` are meant
    std::size_t count = 0;
    std::uint64_t bytes = 0;
  };
  struct alignas(64) Shard {
    Places places;
    std::uint64_t lines = 0;
  };

  // Applies one group and decodes the next one.
  void advance() {
    const std::size_t shards = applying_.count > 0 ? kShards : 0;
    auto task = [&](std::size_t i) {
      if (i < shards) {
        apply(i);
      } else {
        decode(loading_.records[i - shards]);
      }
    };
    const std::size_t tasks = shards + loading_.count;
    if (store_.options_.pool != nullptr) {
      store_.options_.pool->parallel_for(tasks, task);
    } else {
      for (std::size_t i = 0; i < tasks; ++i) task(i);
    }
    clear(applying_);
    std::swap(applying_, loading_);
    admit();
  }

  static void clear(Group& group) {
    std::uint64_t kept = 0;
    for (std::size_t i = 0; i < group.count; ++i) {
      Loaded& loaded = group.records[i];
      loaded.damage.reset();
      loaded.tenant.reset();
      loaded.head.reset();
      loaded.view.reset();
      for (auto& parts : loaded.parts) parts.clear();
      // Memory is used again, but what one huge record needed is not kept in each.
      kept += loaded.memory;
      if (kept > 4 * kGroupBytes) loaded = Loaded();
    }
    group.count = 0;
    group.bytes = 0;
  }

  void decode(Loaded& loaded) const {
    loaded.memory = std::max(loaded.memory, loaded.size);
    loaded.line_bytes = 0;
    if (loaded.kind != kLinesRecord) return;
    if (auto read = loaded.reader.read(loaded.payload); !read) {
      loaded.damage = std::move(read.error());
      return;
    }
    loaded.tenant = store_.get_tenant(loaded.reader.tenant());
    if (loaded.position < loaded.tenant->journal_cut) return;
    std::size_t rows = 0;
    const std::uint64_t seed = loaded.tenant->ordinal * 0x9E3779B97F4A7C15;
    for (const RecordReader::Stream& stream : loaded.reader.streams()) {
      const std::uint64_t hash = hash64(stream.labels);
      const std::uint64_t key = hash + seed;
      loaded.parts[key >> 60].push_back({stream.labels, hash, key, stream.rows});
      rows += stream.rows.size();
      for (const RecordRow& row : stream.rows) loaded.line_bytes += row.line.size();
    }
    loaded.memory = std::max(loaded.memory, loaded.size + rows * sizeof(RecordRow));
  }

  // In order of the journal: gives the records of the decoded group their heads.
  void admit() {
    // A head is full by what it holds and what this group will add to it; of that some may be there already, so that a
    // head is a little smaller than when it was filled first.
    std::vector<std::pair<const Head*, std::uint64_t>> coming;
    for (std::size_t i = 0; i < applying_.count; ++i) {
      Loaded& loaded = applying_.records[i];
      if (loaded.kind != kLinesRecord || loaded.damage) {
        ++bad_;
        // Its checksum was right, so this is of another version or a fault of ours; the rest is still good.
        if (loaded.damage) {
          log::error("logs", "a journal record cannot be read and is skipped",
                     {{"position", loaded.position}, {"error", *loaded.damage}});
        }
        continue;
      }
      Tenant& tenant = *loaded.tenant;
      if (loaded.position < tenant.journal_cut) continue;
      ++records_;
      std::lock_guard lock(tenant.mutex);
      store_.newest_head(tenant);
      auto head = tenant.view_->heads.back();
      auto known = std::ranges::find(coming, head.get(), [](const auto& entry) { return entry.first; });
      if (head->raw_bytes() + (known == coming.end() ? 0 : known->second) >= store_.options_.cut_bytes) {
        head = std::make_shared<Head>(tenant.next_head++, time_, store_.head_memory_);
        tenant.change([&](View& view) { view.heads.push_back(head); });
        known = coming.end();
      }
      if (known == coming.end()) known = coming.insert(coming.end(), {head.get(), 0});
      known->second += loaded.line_bytes;
      if (!head->has_records) head->journal_from = loaded.position;
      head->has_records = true;
      head->journal_to = loaded.position + 1;
      loaded.view = tenant.view_;
      loaded.head = std::move(head);
    }
  }

  void apply(std::size_t number) {
    Shard& shard = shards_[number];
    for (std::size_t i = 0; i < applying_.count; ++i) {
      const Loaded& loaded = applying_.records[i];
      const auto& parts = loaded.parts[number];
      if (!loaded.head || parts.empty()) continue;
      Added added;
      for (std::size_t p = 0; p < parts.size(); ++p) {
        if (p + 4 < parts.size()) shard.places.prefetch(parts[p + 4].key);
        apply(loaded, parts[p], shard, added);
      }
      loaded.head->count(added.rows, added.bytes, added.memory);
      shard.lines += added.rows;
    }
  }

  struct Added {
    std::uint64_t rows = 0;
    std::uint64_t bytes = 0;
    std::uint64_t memory = 0;
  };
  void apply(const Loaded& loaded, const Part& part, Shard& shard, Added& added) {
    Tenant& tenant = *loaded.tenant;
    Place& place = shard.places.find(tenant, part.key, part.labels);
    if (place.head != loaded.head.get()) settle(loaded, part, place);
    HeadStream& rows = *place.rows;
    const TimestampNs sealed_max = tenant.sealed_max.load(std::memory_order_relaxed);
    std::span<HeadStream* const> before;
    if (place.before) before = *place.before;
    for (const RecordRow& row : part.rows) {
      if (rows.contains(row.time, row.line, row.metadata)) continue;
      if ((!before.empty() || row.time <= sealed_max) &&
          store_.stored_before(tenant, *loaded.view, *loaded.head, *rows.shared_stream(), row, before)) {
        continue;
      }
      added.memory += rows.append(row.time, row.line, row.metadata);
      added.bytes += row.line.size();
      ++added.rows;
    }
  }

  // The first rows of a stream for a head.
  void settle(const Loaded& loaded, const Part& part, Place& place) {
    Tenant& tenant = *loaded.tenant;
    if (is_spilled(part.labels)) {
      for (const std::string& name : SpilledStream(part.labels).names()) tenant.spill.add(name, time_);
    }
    auto stream = tenant.index.find(part.labels, part.hash);
    if (!stream) stream = tenant.index.add(part.labels, part.hash, 0, time_);
    auto before = std::make_unique<std::vector<HeadStream*>>();
    std::lock_guard lock(tenant.stripe(stream->id));  // other shards may have streams of it
    for (const auto& other : loaded.view->heads) {
      if (other == loaded.head) continue;
      if (HeadStream* found = other->find(stream->id)) before->push_back(found);
    }
    place.before = before->empty() ? nullptr : std::move(before);
    place.rows = &loaded.head->get(stream);
    place.head = loaded.head.get();
  }

  StoreImpl& store_;
  const TimestampMs time_;
  Group loading_;
  Group applying_;
  std::array<Shard, kShards> shards_;
  std::uint64_t records_ = 0;
  std::uint64_t bad_ = 0;
};

Result<> StoreImpl::replay() {
  const auto begin = std::chrono::steady_clock::now();
  Replayer replayer(*this);
  auto stats = TRY(partition_->read(partition_->first(), [&](const journal::Record& record) -> Result<> {
    replayer.take(record);
    return {};
  }));
  replayer.finish();
  const std::uint64_t bad = replayer.bad() + stats.corrupt;
  metrics_.bad_records.add(static_cast<double>(bad));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  metrics_.replay_seconds.set(seconds);
  if (replayer.records() > 0 || bad > 0) {
    log::info("logs", "journal replayed",
              {{"records", replayer.records()}, {"lines", replayer.lines()}, {"skipped", bad}, {"seconds", seconds}});
  }
  return {};
}

}  // namespace tocayo::logs
