// SPDX-License-Identifier: Apache-2.0
// What the source files of the promqltest runner share.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "promql/testfile.h"

namespace tocayo::promql::testing::detail {

// load_with_nhcb: classic histogram series of the load, each also as one native histogram with custom buckets, appended
// to `series`. bad_input when buckets do not add up.
Result<> append_custom_bucket_histograms(std::vector<TestSeries>& series);

// nullopt when the value is what the command expects, else why not.
std::optional<std::string> compare_value(const EvalCommand& command, const Value& value);
// The same for warnings and infos.
std::optional<std::string> compare_annotations(const EvalCommand& command, const TestOutcome& outcome);
std::optional<std::string> check_sorted(const MatrixValue& matrix);

}  // namespace tocayo::promql::testing::detail
