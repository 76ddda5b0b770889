// SPDX-License-Identifier: Apache-2.0
#include "logql/pipeline/pipeline.h"

namespace tocayo::logql {

Labels LabelResult::labels() const {
  std::vector<Label> kept;
  kept.reserve(all.size());
  for (const Label& label : all) {
    if (!label.value.empty()) kept.push_back(label);
  }
  return Labels::from_sorted(std::move(kept));
}

std::string_view LabelResult::error_name() const {
  for (const Label& label : parsed) {
    if (label.name == kErrorLabel) return label.value;
  }
  return {};
}

}  // namespace tocayo::logql
