// SPDX-License-Identifier: Apache-2.0
// The tree as /api/v1/parse_query shows it.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>

#include "promql/ast.h"

namespace tocayo::promql {

// Same members and values as Prometheus' (web/api/v1/translate_ast.go); step-invariant wrappers are left out.
boost::json::value ast_to_json(const Expr& expr);

}  // namespace tocayo::promql
