// SPDX-License-Identifier: Apache-2.0
#include "agent/host/series.h"

#include <algorithm>
#include <cstring>

#include "core/hash.h"

namespace tocayo::agent {
namespace {

constexpr std::int64_t kRetireSeconds = 600;
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// Keys are length-prefixed pieces, so that no two lists of values share one.
void append_piece(std::string& key, std::string_view piece) {
  auto size = static_cast<std::uint32_t>(piece.size());
  char prefix[sizeof size];
  std::memcpy(prefix, &size, sizeof size);
  key.append(prefix, sizeof prefix);
  key.append(piece);
}

bool same_key(std::string_view key, std::span<const std::string_view> pieces) {
  const char* at = key.data();
  std::size_t left = key.size();
  for (std::string_view piece : pieces) {
    std::uint32_t size = 0;
    if (left < sizeof size) return false;
    std::memcpy(&size, at, sizeof size);
    if (size != piece.size() || left - sizeof size < size) return false;
    if (size != 0 && std::memcmp(at + sizeof size, piece.data(), size) != 0) return false;
    at += sizeof size + size;
    left -= sizeof size + size;
  }
  return left == 0;
}

// Label values must be UTF-8; kernel strings (mount points, models) need not be.
std::string valid_utf8(std::string_view value) {
  if (is_valid_utf8(value)) return std::string(value);
  std::string clean;
  bool replaced = false;
  for (std::size_t i = 0; i < value.size();) {
    std::size_t size = 1;
    auto lead = static_cast<unsigned char>(value[i]);
    if (lead >= 0xF0)
      size = 4;
    else if (lead >= 0xE0)
      size = 3;
    else if (lead >= 0xC0)
      size = 2;
    std::string_view part = value.substr(i, size);
    if (part.size() == size && is_valid_utf8(part)) {
      clean.append(part);
      i += size;
      replaced = false;
    } else {
      if (!replaced) clean.append(kReplacement);
      replaced = true;
      ++i;
    }
  }
  return clean;
}

}  // namespace

std::string_view to_string(FamilyType type) {
  switch (type) {
    case FamilyType::counter: return "counter";
    case FamilyType::gauge: return "gauge";
    case FamilyType::histogram: return "histogram";
    case FamilyType::summary: return "summary";
    case FamilyType::untyped: break;
  }
  return "untyped";
}

const Family* Writer::find_family(std::string_view name) const {
  for (const Family& family : families_) {
    if (family.name == name) return &family;
  }
  return nullptr;
}

const Family& Writer::family(std::string_view name, FamilyType type, std::string_view help,
                             std::initializer_list<std::string_view> label_names) {
  for (const Family& family : families_) {
    if (family.name == name && family.type == type && std::ranges::equal(family.label_names, label_names))
      return family;
  }
  return families_.emplace_back(Family{std::string(name), std::string(help), type,
                                       std::vector<std::string>(label_names.begin(), label_names.end())});
}

void Writer::take(const Slot& slot, double value) {
  if (slot->round == round_) return;
  slot->round = round_;
  slot->last_seen = now_;
  if (next_ < order_.size()) {
    if (order_[next_] != slot) order_[next_] = slot;
  } else {
    order_.push_back(slot);
  }
  ++next_;
  samples_.push_back({slot, value});
}

bool Writer::try_next(const Family& family, std::span<const std::string_view> pieces, double value) {
  if (next_ >= order_.size()) return false;
  const Slot& guess = order_[next_];
  if (guess->family != &family || guess->round == round_ || !same_key(guess->key, pieces)) return false;
  guess->round = round_;
  guess->last_seen = now_;
  samples_.push_back({guess, value});
  ++next_;
  return true;
}

Writer::Slot& Writer::find(const Family& family, std::string_view) {
  if ((count_ + 1) * 4 > table_.size() * 3) grow();
  std::uint64_t hash = hash64(scratch_, reinterpret_cast<std::uintptr_t>(&family));
  std::size_t mask = table_.size() - 1;
  std::size_t i = hash & mask;
  while (table_[i] != nullptr) {
    if (table_[i]->hash == hash && table_[i]->family == &family && table_[i]->key == scratch_) return table_[i];
    i = (i + 1) & mask;
  }
  table_[i] = std::make_shared<Series>();
  table_[i]->family = &family;
  table_[i]->key = scratch_;
  table_[i]->hash = hash;
  ++count_;
  return table_[i];
}

void Writer::put_values(const Family& family, std::span<const std::string_view> values, double value) {
  if (try_next(family, values, value)) return;
  scratch_.clear();
  for (std::string_view piece : values) append_piece(scratch_, piece);
  Slot& slot = find(family, family.name);
  if (slot->name.empty()) {
    slot->name = family.name;
    std::vector<Label> own;
    own.reserve(values.size());
    for (std::size_t i = 0; i < values.size() && i < family.label_names.size(); ++i) {
      own.push_back({family.label_names[i], valid_utf8(values[i])});
    }
    slot->labels = make_labels(family.name, own);
  }
  take(slot, value);
}

void Writer::put_labels(const Family& family, std::string_view name, std::span<const Label> labels, double value) {
  std::vector<std::string_view> pieces;
  pieces.reserve(labels.size() * 2 + 1);
  pieces.push_back(name);
  for (const Label& label : labels) {
    pieces.push_back(label.name);
    pieces.push_back(label.value);
  }
  if (try_next(family, pieces, value)) return;
  scratch_.clear();
  for (std::string_view piece : pieces) append_piece(scratch_, piece);
  Slot& slot = find(family, name);
  if (slot->name.empty()) {
    slot->name = name;
    slot->labels = make_labels(name, labels);
  }
  take(slot, value);
}

Labels Writer::make_labels(std::string_view name, std::span<const Label> own) const {
  std::vector<Label> labels;
  labels.reserve(own.size() + constant_.size() + 1);
  for (const Label& label : own) {
    if (label.value.empty() || label.name == kMetricName) continue;
    if (constant_.has(label.name)) {
      labels.push_back({"exported_" + label.name, label.value});
    } else {
      labels.push_back(label);
    }
  }
  labels.insert(labels.end(), constant_.begin(), constant_.end());
  labels.push_back({std::string(kMetricName), std::string(name)});
  return Labels(std::move(labels));
}

void Writer::grow() {
  std::vector<Slot> old(std::max<std::size_t>(16, table_.size() * 2));
  old.swap(table_);
  std::size_t mask = table_.size() - 1;
  for (Slot& slot : old) {
    if (slot == nullptr) continue;
    std::size_t i = slot->hash & mask;
    while (table_[i] != nullptr) i = (i + 1) & mask;
    table_[i] = std::move(slot);
  }
}

void Writer::begin(std::int64_t now) {
  if (next_ < order_.size()) order_.resize(next_);
  samples_.clear();
  next_ = 0;
  ++round_;
  now_ = now;
  if (now - retired_at_ > kRetireSeconds) retire(now);
}

void Writer::retire(std::int64_t now) {
  retired_at_ = now;
  auto old_enough = [&](const Slot& slot) { return slot != nullptr && now - slot->last_seen > kRetireSeconds; };
  if (std::ranges::none_of(table_, old_enough)) return;
  std::erase_if(order_, old_enough);
  std::vector<Slot> old(table_.size());
  old.swap(table_);
  std::size_t mask = table_.size() - 1;
  for (Slot& slot : old) {
    if (slot == nullptr) continue;
    if (old_enough(slot)) {
      --count_;
      continue;
    }
    std::size_t i = slot->hash & mask;
    while (table_[i] != nullptr) i = (i + 1) & mask;
    table_[i] = std::move(slot);
  }
}

}  // namespace tocayo::agent
