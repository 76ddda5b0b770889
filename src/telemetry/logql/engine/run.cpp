// SPDX-License-Identifier: Apache-2.0
#include "logql/engine/run.h"

#include <fmt/format.h>

#include <algorithm>

namespace tocayo::logql::detail {

Result<> Run::charge(std::int64_t bytes) {
  const std::int64_t held = memory_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  auto peak = peak_.load(std::memory_order_relaxed);
  while (held > 0 && static_cast<std::uint64_t>(held) > peak &&
         !peak_.compare_exchange_weak(peak, static_cast<std::uint64_t>(held), std::memory_order_relaxed)) {
  }
  if (options_.shared != nullptr && !options_.shared->add(bytes, held)) {
    return fail(ErrorKind::limit,
                fmt::format("the queries that run now need more memory than there is for them, and this one holds more "
                            "than its share of {} bytes; select fewer streams, shorten the time range, or aggregate by "
                            "fewer labels",
                            options_.shared->share()));
  }
  if (bytes > 0 && options_.memory_limit != 0 && held > static_cast<std::int64_t>(options_.memory_limit)) {
    return fail(ErrorKind::limit,
                fmt::format("the query needs more than its memory budget of {} bytes; select fewer streams, shorten "
                            "the time range, or aggregate by fewer labels",
                            options_.memory_limit));
  }
  return {};
}

namespace {

void accumulate(logs::ScanStats& to, const logs::ScanStats& from) {
  to.rows += from.rows;
  to.bytes += from.bytes;
  to.metadata_bytes += from.metadata_bytes;
  to.rows_selected += from.rows_selected;
  to.bytes_read += from.bytes_read;
  to.segments += from.segments;
  to.groups += from.groups;
  to.groups_skipped += from.groups_skipped;
  to.head_rows += from.head_rows;
}

}  // namespace

void Run::add_scan(const logs::ScanStats& stats, std::uint64_t lines_kept) {
  std::lock_guard lock(mutex_);
  accumulate(scan_, stats);
  lines_kept_ += lines_kept;
}

void Run::add_warnings(std::vector<std::string> warnings) {
  std::lock_guard lock(mutex_);
  for (std::string& warning : warnings) {
    if (std::ranges::find(warnings_, warning) == warnings_.end()) warnings_.push_back(std::move(warning));
  }
}

QueryStats Run::stats() const {
  std::lock_guard lock(mutex_);
  QueryStats stats;
  stats.scan = scan_;
  stats.lines_kept = lines_kept_;
  stats.peak_memory = peak_memory();
  stats.spilled_bytes = spilled_.load(std::memory_order_relaxed);
  return stats;
}

std::vector<std::string> Run::warnings() const {
  std::lock_guard lock(mutex_);
  return warnings_;
}

std::size_t Run::worker_count(std::size_t pieces) const {
  if (options_.pool == nullptr || pieces < 2) return 1;
  std::size_t threads = options_.pool->thread_count();
  if (options_.parallelism != 0) threads = std::min(threads, options_.parallelism);
  return std::clamp<std::size_t>(threads, 1, pieces);
}

Result<> Run::each(std::size_t pieces,
                   const std::function<Result<>(std::size_t worker, std::size_t piece)>& work) const {
  std::atomic<std::size_t> next{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::optional<Error> failure;
  const auto body = [&](std::size_t worker) {
    while (!stop.load(std::memory_order_relaxed)) {
      const std::size_t piece = next.fetch_add(1, std::memory_order_relaxed);
      if (piece >= pieces) return;
      Result<> done = context_.check();
      if (done) done = work(worker, piece);
      if (done) continue;
      std::lock_guard lock(mutex);
      if (!failure) failure = std::move(done.error());
      stop = true;
    }
  };
  const std::size_t workers = worker_count(pieces);
  if (workers == 1) {
    body(0);
  } else {
    options_.pool->parallel_for(workers, body);
  }
  if (failure) return std::unexpected(std::move(*failure));
  return {};
}

}  // namespace tocayo::logql::detail
