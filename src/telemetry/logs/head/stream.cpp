// SPDX-License-Identifier: Apache-2.0
#include "logs/head/stream.h"

#include <algorithm>
#include <mutex>

#include "core/hash.h"
#include "logs/head/label_bytes.h"

namespace tocayo::logs {
namespace {

constexpr TimestampMs kDayMs = 86'400'000;
constexpr std::size_t kMostFreshKeys = 100'000;

std::uint64_t pair_hash(std::string_view name, std::string_view value) { return hash64(value, hash64(name)); }

}  // namespace

bool matches_all(std::span<const Matcher> matchers, std::string_view label_bytes) {
  return std::all_of(matchers.begin(), matchers.end(),
                     [&](const Matcher& matcher) { return matcher.matches(label_in(label_bytes, matcher.name())); });
}

std::shared_ptr<Stream> StreamIndex::find(StreamId id) const {
  std::shared_lock lock(mutex_);
  if (id >= next_ || !pages_[id / kPage]) return nullptr;
  return pages_[id / kPage]->streams[id % kPage];
}

std::shared_ptr<Stream> StreamIndex::locked_find(std::string_view label_bytes, std::uint64_t hash) const {
  auto [at, end] = by_hash_.equal_range(hash);
  for (; at != end; ++at) {
    const auto& stream = pages_[at->second / kPage]->streams[at->second % kPage];
    if (stream->labels == label_bytes) return stream;
  }
  return nullptr;
}

std::shared_ptr<Stream> StreamIndex::find(std::string_view label_bytes, std::uint64_t hash) const {
  std::shared_lock lock(mutex_);
  return locked_find(label_bytes, hash);
}

std::shared_ptr<Stream> StreamIndex::add(std::string_view label_bytes, std::uint64_t hash, std::size_t limit,
                                         TimestampMs now) {
  std::unique_lock lock(mutex_);
  if (auto found = locked_find(label_bytes, hash)) return found;
  if (limit != 0 && count_.load(std::memory_order_relaxed) >= limit) return nullptr;
  auto stream = std::make_shared<Stream>();
  stream->id = next_++;
  stream->hash = hash;
  stream->group = group_hash(label_bytes);
  stream->labels.assign(label_bytes);
  stream->last_append.store(now, std::memory_order_relaxed);
  if (stream->id / kPage == pages_.size()) pages_.push_back(std::make_unique<Page>());
  Page& page = *pages_[stream->id / kPage];
  page.streams[stream->id % kPage] = stream;
  ++page.live;
  by_hash_.emplace(hash, stream->id);
  if (const std::int64_t day = now / kDayMs; day != day_) {
    day_ = day;
    fresh_.clear();
  }
  post(*stream, [&](std::string_view name, std::uint64_t key) {
    auto at = fresh_.find(name);
    if (at == fresh_.end()) at = fresh_.emplace(name, Fresh()).first;
    Fresh& fresh = at->second;
    if (fresh.keys.size() >= kMostFreshKeys || fresh.keys.insert(key).second) ++fresh.count;
  });
  label_bytes_ += stream->labels.capacity();
  count_.fetch_add(1, std::memory_order_relaxed);
  return stream;
}

std::vector<std::pair<std::string, std::size_t>> StreamIndex::grown(std::size_t least, TimestampMs now) const {
  std::shared_lock lock(mutex_);
  std::vector<std::pair<std::string, std::size_t>> out;
  if (now / kDayMs != day_) return out;
  for (const auto& [name, fresh] : fresh_) {
    if (fresh.count >= least) out.emplace_back(name, fresh.count);
  }
  return out;
}

void StreamIndex::post(const Stream& stream,
                       const std::function<void(std::string_view name, std::uint64_t key)>& fresh_value) {
  LabelCursor cursor(stream.labels);
  for (LabelView pair; cursor.next(pair);) {
    const std::uint64_t key = pair_hash(pair.name, pair.value);
    auto [at, fresh] = postings_.try_emplace(key);
    Posting& posting = at->second;
    if (fresh) {
      posting.first = stream.id;
      auto values = values_.find(pair.name);
      if (values == values_.end()) values = values_.emplace(pair.name, std::vector<std::uint64_t>()).first;
      values->second.push_back(key);
      if (fresh_value) fresh_value(pair.name, key);
      continue;
    }
    if (!posting.all) posting.all = std::make_unique<std::vector<StreamId>>(1, posting.first);
    posting.all->push_back(stream.id);
    ++posting.count;
  }
}

StreamIndex::Candidates StreamIndex::candidates(std::span<const Matcher> matchers) const {
  std::shared_lock lock(mutex_);
  Candidates out;
  out.all = true;
  auto ids_of = [&](const Matcher& matcher, std::string_view value, std::vector<StreamId>& ids) {
    auto found = postings_.find(pair_hash(matcher.name(), value));
    if (found == postings_.end()) return;
    const Posting& posting = found->second;
    if (posting.all) {
      ids.insert(ids.end(), posting.all->begin(), posting.all->end());
    } else {
      ids.push_back(posting.first);
    }
  };
  for (const Matcher& matcher : matchers) {
    if (matcher.negative() || matcher.matches_empty()) continue;
    std::vector<StreamId> ids;
    if (matcher.type() == Matcher::Type::equal) {
      ids_of(matcher, matcher.value(), ids);
    } else if (matcher.literals()) {
      for (const std::string& literal : *matcher.literals()) ids_of(matcher, literal, ids);
      std::sort(ids.begin(), ids.end());
      ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    } else {
      continue;
    }
    if (out.all || ids.size() < out.ids.size()) out.ids = std::move(ids);
    out.all = false;
    if (out.ids.empty()) break;
  }
  return out;
}

void StreamIndex::for_each(const std::function<void(const std::shared_ptr<Stream>&)>& visit) const {
  std::shared_lock lock(mutex_);
  for (const auto& page : pages_) {
    if (!page) continue;
    for (const auto& stream : page->streams) {
      if (stream) visit(stream);
    }
  }
}

std::vector<std::string> StreamIndex::label_names() const {
  std::shared_lock lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, keys] : values_) names.push_back(name);
  return names;
}

void StreamIndex::for_each_value(
    std::string_view name, const std::function<bool(std::string_view value, std::span<const StreamId>)>& visit) const {
  std::shared_lock lock(mutex_);
  auto found = values_.find(name);
  if (found == values_.end()) return;
  for (const std::uint64_t key : found->second) {
    const Posting& posting = postings_.at(key);
    const auto& stream = pages_[posting.first / kPage]->streams[posting.first % kPage];
    const std::span<const StreamId> ids =
        posting.all ? std::span<const StreamId>(*posting.all) : std::span<const StreamId>(&posting.first, 1);
    if (!visit(label_in(stream->labels, name), ids)) return;
  }
}

std::size_t StreamIndex::forget(const std::function<bool(const Stream&)>& idle) {
  std::unique_lock lock(mutex_);
  std::size_t removed = 0;
  for (auto& page : pages_) {
    if (!page) continue;
    for (auto& stream : page->streams) {
      // A request that holds the stream is about to use it.
      if (!stream || stream.use_count() > 1 || !idle(*stream)) continue;
      auto [at, end] = by_hash_.equal_range(stream->hash);
      while (at != end && at->second != stream->id) ++at;
      if (at != end) by_hash_.erase(at);
      label_bytes_ -= stream->labels.capacity();
      stream.reset();
      --page->live;
      ++removed;
    }
    // The page of the next id is still being filled.
    if (page->live == 0 && &page != &pages_.back()) page.reset();
  }
  if (removed == 0) return 0;
  count_.fetch_sub(removed, std::memory_order_relaxed);
  postings_.clear();
  values_.clear();
  for (const auto& page : pages_) {
    if (!page) continue;
    for (const auto& stream : page->streams) {
      if (stream) post(*stream, {});
    }
  }
  return removed;
}

std::size_t StreamIndex::memory_bytes() const {
  std::shared_lock lock(mutex_);
  return count_.load() * (sizeof(Stream) + 16 + 48) + label_bytes_ + pages_.size() * sizeof(void*) +
         postings_.size() * (sizeof(Posting) + 32);
}

}  // namespace tocayo::logs
