// SPDX-License-Identifier: Apache-2.0
#include "logql/pipeline/label_results.h"

#include <algorithm>

#include "core/hash.h"

namespace tocayo::logql {
namespace {

using Category = LabelState::Category;

std::uint64_t mixed(std::uint64_t hash, std::uint64_t next) {
  return (hash ^ next) * 0x9E3779B97F4A7C15ULL + (hash >> 29);
}

// The same for the same names and values in any process.
std::uint64_t stable_hash(const std::vector<Label>& labels) {
  std::uint64_t hash = 0x517CC1B727220A95ULL;
  for (const Label& label : labels) hash = mixed(mixed(hash, hash64(label.name)), hash64(label.value));
  return hash;
}

// Stand-ins for the two labels that are not in the vectors.
const Name& error_name() {
  static const Name* name = new Name{.text = std::string(kErrorLabel), .id = 0xFFFFFFF};
  return *name;
}
const Name& details_name() {
  static const Name* name = new Name{.text = std::string(kErrorDetailsLabel), .id = 0xFFFFFFE};
  return *name;
}

bool contains(std::span<Name* const> names, const Name* name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

void LabelResults::collect(LabelState& labels, const Shape& shape) {
  items_.clear();
  error_ = labels.has_error() && !shape.preserve_error;
  const bool all = !shape.grouped || error_;
  if (!all && !shape.without) {
    for (Name* group : shape.groups) {
      if (group->text == kErrorLabel) {
        if (labels.has_error()) items_.push_back({&error_name(), labels.error(), Category::stream});
        continue;
      }
      if (const auto value = labels.get(group)) items_.push_back({group, *value, Category::stream});
    }
    return;
  }
  const auto take = [&](const LabelState::Entry& entry, Category category) {
    if (!all && contains(shape.groups, entry.name)) return;
    items_.push_back({entry.name, entry.value, all ? category : Category::stream});
  };
  for (const auto& entry : labels.stream()) {
    if (entry.live) take(entry, Category::stream);
  }
  for (const auto& entry : labels.metadata()) take(entry, Category::metadata);
  for (const auto& entry : labels.parsed()) take(entry, Category::parsed);
  if (labels.has_error() && all) items_.push_back({&error_name(), labels.error(), Category::parsed});
  if (!labels.error_details().empty() && all && !labels.unchanged()) {
    items_.push_back({&details_name(), labels.error_details(), Category::parsed});
  } else if (labels.has_error() && !labels.error_details().empty() && all) {
    items_.push_back({&details_name(), labels.error_details(), Category::parsed});
  }
}

bool LabelResults::same(const Known& known) const {
  if (known.names.size() != items_.size()) return false;
  const LabelResult& result = **results_[known.result];
  for (std::size_t i = 0; i < items_.size(); ++i) {
    if (known.names[i] != items_[i].name->id * 4 + static_cast<std::uint32_t>(items_[i].category)) return false;
    if (result.all[known.places[i]].value != items_[i].value) return false;
  }
  return true;
}

const std::shared_ptr<const LabelResult>& LabelResults::find(LabelState& labels, const Shape& shape) {
  collect(labels, shape);
  std::uint64_t hash = items_.size();
  for (const Item& item : items_) hash = mixed(hash, label_hash(item.name, item.value, item.category));
  const auto [begin, end] = rows_.equal_range(hash);
  for (auto at = begin; at != end; ++at) {
    if (same(at->second)) return *results_[at->second.result];
  }
  order_.resize(items_.size());
  for (std::uint32_t i = 0; i < order_.size(); ++i) order_[i] = i;
  std::sort(order_.begin(), order_.end(),
            [this](std::uint32_t a, std::uint32_t b) { return items_[a].name->text < items_[b].name->text; });
  Known known;
  known.result = canonical();
  known.places.resize(items_.size());
  for (std::uint32_t place = 0; place < order_.size(); ++place) known.places[order_[place]] = place;
  for (const Item& item : items_) {
    known.names.push_back(item.name->id * 4 + static_cast<std::uint32_t>(item.category));
  }
  memory_ += sizeof(Known) + items_.size() * 8 + 64;
  const std::uint32_t result = known.result;
  rows_.emplace(hash, std::move(known));
  return *results_[result];
}

// The result with these labels, made if there is none yet. order_ sorts items_.
std::uint32_t LabelResults::canonical() {
  auto made = std::make_shared<LabelResult>();
  made->error = error_;
  for (const std::uint32_t i : order_) {
    const Item& item = items_[i];
    Label label{item.name->text, std::string(item.value)};
    auto& category = item.category == Category::stream     ? made->stream
                     : item.category == Category::metadata ? made->metadata
                                                           : made->parsed;
    category.push_back(label);
    made->all.push_back(std::move(label));
  }
  made->hash = stable_hash(made->all);
  const auto [begin, end] = sets_.equal_range(made->hash);
  for (auto at = begin; at != end; ++at) {
    const LabelResult& other = **results_[at->second];
    if (other.stream == made->stream && other.metadata == made->metadata && other.parsed == made->parsed &&
        other.error == made->error) {
      return at->second;
    }
  }
  made->id = static_cast<std::uint32_t>(results_.size());
  std::size_t bytes = sizeof(LabelResult) + 128;
  for (const Label& label : made->all) bytes += 2 * (sizeof(Label) + label.name.size() + label.value.size());
  memory_ += bytes;
  sets_.emplace(made->hash, made->id);
  results_.push_back(std::make_unique<std::shared_ptr<const LabelResult>>(std::move(made)));
  return static_cast<std::uint32_t>(results_.size() - 1);
}

void LabelResults::clear() {
  rows_.clear();
  sets_.clear();
  results_.clear();
  memory_ = 0;
}

}  // namespace tocayo::logql
