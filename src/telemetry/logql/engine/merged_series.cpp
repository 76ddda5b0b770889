// SPDX-License-Identifier: Apache-2.0
#include "logql/engine/merged_series.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <tuple>

namespace tocayo::logql::detail {

std::size_t memory_of(const Labels& labels) {
  std::size_t bytes = sizeof(Labels);
  for (const Label& label : labels) bytes += sizeof(Label) + label.name.size() + label.value.size();
  return bytes;
}

std::size_t memory_of(const std::vector<EvalSeries>& series) {
  std::size_t bytes = 0;
  for (const EvalSeries& one : series) bytes += memory_of(one.labels) + one.column.memory_bytes();
  return bytes;
}

Error LabelValues::name_largest(Error error) const {
  if (error.kind != ErrorKind::limit) return error;
  const auto most = std::ranges::max_element(
      values_, {}, [](const auto& entry) { return std::tuple(entry.second.size(), entry.first); });
  if (most != values_.end() && most->second.size() > 1) {
    error.message += fmt::format(" (label {} alone has {} or more values)", most->first, most->second.size());
  }
  return error;
}

std::size_t MergedSeries::number(const Labels& labels, bool error) {
  const auto [at, added] = index_.try_emplace(labels, labels_.size());
  if (added) {
    labels_.push_back(&at->first);
    errors_.push_back(error);
    label_bytes_ += memory_of(labels) + 4 * sizeof(void*);
  }
  return at->second;
}

Result<std::vector<EvalSeries>> MergedSeries::finish(Run& run) {
  Account account(run);
  std::vector<std::size_t> order(labels_.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) { return *labels_[a] < *labels_[b]; });
  std::vector<EvalSeries> out;
  std::size_t bytes = 0;
  for (const std::size_t one : order) {
    TRY(run.context().check());
    Column column = states_->finish(one);
    if (!column.any()) continue;
    bytes += column.memory_bytes();
    if (auto held = account.set(bytes + memory_bytes()); !held) {
      return std::unexpected(explain(std::move(held.error())));
    }
    out.push_back({*labels_[one], std::move(column), errors_[one]});
  }
  return out;
}

Error MergedSeries::explain(Error error) const {
  LabelValues values;
  const std::size_t stride = LabelValues::stride(labels_.size());
  for (std::size_t i = 0; i < labels_.size(); i += stride) {
    for (const Label& label : *labels_[i]) values.add(label.name, label.value);
  }
  return values.name_largest(std::move(error));
}

}  // namespace tocayo::logql::detail
