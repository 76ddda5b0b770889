// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace tocayo {

// `tocayo promql test PATH…`: runs promqltest files (or all of a directory) on the engine in-process; exit code 0 only
// when all pass.
int promql_test(const std::vector<std::string>& paths);
// `tocayo promql format EXPR`: pretty-prints, or says where the error is.
int promql_format(const std::string& expr);

}  // namespace tocayo
