// SPDX-License-Identifier: Apache-2.0
// Many rows at once, column by column: each column's texts in one loop, then the lines from them and the constants.
#include <algorithm>
#include <cstring>
#include <numeric>

#include "logs/segment/group_view.h"

namespace tocayo::logs {

namespace {

constexpr std::size_t kMostBytes = 1U << 30;

// Most pieces of a line are short.
char* put(char* to, std::string_view text) {
  const std::size_t n = text.size();
  const char* const from = text.data();
  if (n > 16) {
    std::memcpy(to, from, n);
  } else if (n >= 8) {
    std::memcpy(to, from, 8);
    std::memcpy(to + n - 8, from + n - 8, 8);
  } else if (n >= 4) {
    std::memcpy(to, from, 4);
    std::memcpy(to + n - 4, from + n - 4, 4);
  } else if (n != 0) {
    to[0] = from[0];
    to[n / 2] = from[n / 2];
    to[n - 1] = from[n - 1];
  }
  return to + n;
}

}  // namespace

Result<> GroupRows::lines(std::span<const std::uint32_t> rows, LineBatch& out) {
  TRY(rank());
  const auto ids = TRY(template_ids());
  out.bytes.clear();
  out.places.resize(rows.size());
  const std::size_t kinds = view_.templates.size() + 1;
  by_template_.assign(kinds + 1, 0);
  for (auto row : rows) ++by_template_[static_cast<std::size_t>(ids[row]) + 1];
  std::partial_sum(by_template_.begin(), by_template_.end(), by_template_.begin());
  std::vector<std::uint32_t> next(by_template_.begin(), by_template_.end() - 1);
  members_.resize(rows.size());
  for (std::uint32_t k = 0; k < rows.size(); ++k) members_[next[static_cast<std::size_t>(ids[rows[k]])]++] = k;
  for (std::uint32_t local = 0; local < kinds; ++local) {
    const auto which = std::span<const std::uint32_t>(members_).subspan(by_template_[local],
                                                                        by_template_[local + 1] - by_template_[local]);
    if (which.empty()) continue;
    TRY(local + 1 == kinds ? text_lines(rows, which, out) : template_lines(local, rows, which, out));
  }
  return {};
}

Result<> GroupRows::template_lines(std::uint32_t local, std::span<const std::uint32_t> rows,
                                   std::span<const std::uint32_t> which, LineBatch& out) {
  const auto& kind = shape(local);
  const auto row_times = TRY(times());
  const std::size_t slots = kind.slots.size();
  if (arenas_.size() < slots) {
    arenas_.resize(slots);
    views_.resize(slots);
  }
  ranks_.clear();
  member_times_.clear();
  for (auto k : which) {
    ranks_.push_back(rank_[rows[k]]);
    member_times_.push_back(row_times[rows[k]]);
  }
  std::size_t total = (kind.constant_bytes + 1) * which.size();
  for (std::uint32_t i = 0; i < slots; ++i) {
    TRY(slot(local, i))->texts(ranks_, member_times_, arenas_[i], views_[i]);
    for (auto text : views_[i]) total += text.size();
  }
  if (total > kMostBytes - out.bytes.size()) return damaged("length of lines");
  const std::size_t begin = out.bytes.size();
  // No zeros first. (What the call is given may be more than what was asked for.)
  out.bytes.resize_and_overwrite(begin + total, [end = begin + total](char*, std::size_t) { return end; });
  char* const base = out.bytes.data();
  char* to = base + begin;
  for (std::size_t m = 0; m < which.size(); ++m) {
    char* const start = to;
    for (std::size_t i = 0; i < slots; ++i) {
      to = put(to, kind.constants[i]);
      to = put(to, views_[i][m]);
    }
    to = put(to, kind.constants[slots]);
    out.places[which[m]] = {.at = static_cast<std::uint32_t>(start - base),
                            .length = static_cast<std::uint32_t>(to - start)};
    *to++ = '\n';
  }
  return {};
}

Result<std::string_view> GroupRows::text_line(std::uint32_t rank) {
  const auto starts = TRY(text_starts());
  const auto lengths = TRY(column(view_.head->text_lengths, view_.head->text_rows, SlotKind{}))->numbers();
  const auto page = TRY(bytes(view_.columns[view_.head->text_pages + rank / format::kTextPageRows]));
  return page.substr(starts[rank], static_cast<std::size_t>(lengths[rank]));
}

Result<> GroupRows::text_lines(std::span<const std::uint32_t> rows, std::span<const std::uint32_t> which,
                               LineBatch& out) {
  for (auto k : which) {
    const auto line = TRY(text_line(rank_[rows[k]]));
    if (line.size() + 1 > kMostBytes - out.bytes.size()) return damaged("length of lines");
    out.places[k] = {.at = static_cast<std::uint32_t>(out.bytes.size()),
                     .length = static_cast<std::uint32_t>(line.size())};
    out.bytes.append(line);
    out.bytes.push_back('\n');
  }
  return {};
}

Result<> GroupRows::lengths(std::span<const std::uint32_t> rows, std::vector<std::uint32_t>& out) {
  TRY(rank());
  const auto ids = TRY(template_ids());
  if (lengths_.empty()) lengths_.resize(view_.templates.size() + 1);
  out.resize(rows.size());
  for (std::size_t k = 0; k < rows.size(); ++k) {
    const auto local = static_cast<std::uint32_t>(ids[rows[k]]);
    auto& of = lengths_[local];
    if (of.numbers.empty()) {
      if (local == view_.templates.size()) {
        of.numbers = TRY(column(view_.head->text_lengths, view_.head->text_rows, SlotKind{}))->numbers();
      } else {
        of.numbers = TRY(slot(local, static_cast<std::uint32_t>(shape(local).slots.size())))->numbers();
        of.constant = static_cast<std::int64_t>(shape(local).constant_bytes);
      }
    }
    out[k] = static_cast<std::uint32_t>(of.numbers[rank_[rows[k]]] + of.constant);
  }
  return {};
}

Result<> GroupRows::metadata(std::span<const std::uint32_t> rows, MetadataBatch& out) {
  const std::size_t keys = view_.keys.size();
  out.pairs.clear();
  out.ends.assign(rows.size(), 0);
  if (keys == 0) return {};
  out.arenas.resize(keys);
  if (views_.size() < keys) views_.resize(keys);
  std::vector<std::vector<std::uint32_t>> holders(keys);  // numbers in `rows`; empty: all
  for (std::size_t key = 0; key < keys; ++key) {
    const auto places = TRY(key_places(key));
    ranks_.clear();
    if (places.empty()) {
      ranks_.assign(rows.begin(), rows.end());
      for (auto& end : out.ends) ++end;
    } else {
      for (std::uint32_t k = 0; k < rows.size(); ++k) {
        if (places[rows[k]] < 0) continue;
        ranks_.push_back(static_cast<std::uint32_t>(places[rows[k]]));
        holders[key].push_back(k);
        ++out.ends[k];
      }
    }
    views_[key].clear();
    if (!ranks_.empty()) TRY(key_values(key))->texts(ranks_, {}, out.arenas[key], views_[key]);
  }
  std::partial_sum(out.ends.begin(), out.ends.end(), out.ends.begin());
  if (out.ends.empty()) return {};
  out.pairs.resize(out.ends.back());
  std::vector<std::uint32_t> next(rows.size());
  for (std::size_t k = 1; k < rows.size(); ++k) next[k] = out.ends[k - 1];
  for (std::size_t key = 0; key < keys; ++key) {
    const auto name = dictionary_.at(view_.keys[key].name);
    const auto& values = views_[key];
    for (std::size_t m = 0; m < values.size(); ++m) {
      const auto k = holders[key].empty() ? m : holders[key][m];
      out.pairs[next[k]++] = {name, values[m]};
    }
  }
  return {};
}

}  // namespace tocayo::logs
