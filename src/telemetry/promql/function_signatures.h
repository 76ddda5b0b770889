// SPDX-License-Identifier: Apache-2.0
// Names and types of every PromQL function: what the parser checks calls against and what the engine dispatches on.
#pragma once

#include <span>
#include <string_view>

#include "promql/ast.h"

namespace tocayo::promql {

struct FunctionSignature {
  std::string_view name;
  std::span<const ValueType> arg_types;
  // 0: exactly arg_types; n > 0: the last one is optional and may stand up to n times (so arity is size-1 .. size-1+n);
  // -1: the last one is optional and may stand any number of times.
  int variadic = 0;
  ValueType return_type = ValueType::vector;
  bool experimental = false;
};

// All, sorted by name. Static storage: addresses are stable and may be compared; index with function_index().
std::span<const FunctionSignature> all_functions();
// Case-sensitive as in Prometheus; null when there is none.
const FunctionSignature* find_function(std::string_view name);
// Position of `function` in all_functions(): a dense number to build dispatch tables on.
std::size_t function_index(const FunctionSignature& function);

}  // namespace tocayo::promql
