// SPDX-License-Identifier: Apache-2.0
// Which pool an API's queries run on.
#pragma once

#include <utility>

namespace tocayo {

// The dependencies of an API with `queries` set: to `compute` where the owner has no pool of its own for them.
template <typename Dependencies>
Dependencies with_queries(Dependencies dependencies) {
  if (dependencies.queries == nullptr) dependencies.queries = dependencies.compute;
  return dependencies;
}

}  // namespace tocayo
