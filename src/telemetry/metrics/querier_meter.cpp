// SPDX-License-Identifier: Apache-2.0
#include "metrics/querier_meter.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "metrics/ingest_limits.h"

namespace tocayo::metrics {
namespace {

// Raises `peak` to at least `value`.
void raise(std::atomic<std::uint64_t>& peak, std::uint64_t value) {
  std::uint64_t seen = peak.load(std::memory_order_relaxed);
  while (seen < value && !peak.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

}  // namespace

Result<> QueryMeter::fetch(std::span<const std::uint64_t> series, std::uint64_t chunks, std::uint64_t chunk_bytes,
                           std::uint64_t memory) {
  if (limits_.max_series == 0) {
    series_.fetch_add(series.size(), std::memory_order_relaxed);
  } else {
    std::lock_guard lock(mutex_);
    hashes_.insert(series.begin(), series.end());
    series_.store(hashes_.size(), std::memory_order_relaxed);
    if (hashes_.size() > limits_.max_series) {
      return fail(ErrorKind::limit, with_error_id(fmt::format("the query exceeded the maximum number of series (limit: "
                                                              "{} series)",
                                                              limits_.max_series),
                                                  "max-series-per-query", "max_fetched_series_per_query"));
    }
  }
  if (chunks_.fetch_add(chunks, std::memory_order_relaxed) + chunks > limits_.max_chunks && limits_.max_chunks != 0) {
    return fail(ErrorKind::limit, with_error_id(fmt::format("the query exceeded the maximum number of chunks (limit: "
                                                            "{} chunks)",
                                                            limits_.max_chunks),
                                                "max-chunks-per-query", "max_fetched_chunks_per_query"));
  }
  const std::uint64_t bytes = chunk_bytes_.fetch_add(chunk_bytes, std::memory_order_relaxed) + chunk_bytes;
  if (limits_.max_chunk_bytes != 0 && bytes > limits_.max_chunk_bytes) {
    return fail(ErrorKind::limit,
                with_error_id(fmt::format("the query exceeded the aggregated chunks size limit (limit: {} bytes)",
                                          limits_.max_chunk_bytes),
                              "max-chunks-bytes-per-query", "max_fetched_chunk_bytes_per_query"));
  }
  selected_.fetch_add(memory, std::memory_order_relaxed);
  return take(memory);
}

Result<> QueryMeter::take(std::uint64_t bytes) {
  const std::uint64_t held = memory_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  show(bytes);
  raise(peak_, held);
  if (stop_.stop_requested()) {
    if (auto reason = stopped()) return std::unexpected(std::move(*reason));
  }
  if (limits_.max_memory != 0 && held > limits_.max_memory) {
    return fail(
        ErrorKind::limit,
        with_error_id(fmt::format("the query exceeded the maximum allowed estimated amount of memory consumed "
                                  "by a single query (limit: {} bytes)",
                                  limits_.max_memory),
                      "max-estimated-memory-consumption-per-query", "max_estimated_memory_consumption_per_query"));
  }
  return {};
}

bool QueryMeter::fits(const QueryMeter& part) const {
  const auto allowed = [](std::uint64_t limit, std::uint64_t a, std::uint64_t b) {
    return limit == 0 || a + b <= limit;
  };
  if (limits_.max_series != 0) {
    std::scoped_lock lock(mutex_, part.mutex_);
    const auto fresh = std::ranges::count_if(part.hashes_, [&](std::uint64_t hash) { return !hashes_.contains(hash); });
    if (hashes_.size() + static_cast<std::uint64_t>(fresh) > limits_.max_series) return false;
  }
  return allowed(limits_.max_chunks, chunks_, part.chunks_) &&
         allowed(limits_.max_chunk_bytes, chunk_bytes_, part.chunk_bytes_) &&
         allowed(limits_.max_memory, memory_, part.peak_);
}

void QueryMeter::absorb(const QueryMeter& part) {
  if (limits_.max_series == 0) {
    series_ += part.series_;
  } else {
    std::scoped_lock lock(mutex_, part.mutex_);
    hashes_.insert(part.hashes_.begin(), part.hashes_.end());
    series_ = hashes_.size();
  }
  chunks_ += part.chunks_;
  chunk_bytes_ += part.chunk_bytes_;
  raise(peak_, memory_ + part.peak_);
  const std::uint64_t selected = part.selected_;
  selected_ += selected;
  memory_ += selected;
  show(selected);
}

void QueryMeter::stop(Error reason) {
  {
    std::lock_guard lock(mutex_);
    if (!reason_) reason_ = std::move(reason);
  }
  stop_.request_stop();
}

std::optional<Error> QueryMeter::stopped() const {
  std::lock_guard lock(mutex_);
  return reason_;
}

std::uint64_t memory_bytes(const Labels& labels) {
  std::uint64_t bytes = sizeof(Labels);
  for (const Label& label : labels) {
    bytes += sizeof(Label);
    for (const std::string* text : {&label.name, &label.value})
      bytes += text->capacity() > 15 ? text->capacity() + 1 : 0;
  }
  return bytes;
}

}  // namespace tocayo::metrics
