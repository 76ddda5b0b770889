// SPDX-License-Identifier: Apache-2.0
#include "logql/syntax/ast.h"

#include <array>

namespace tocayo::logql {

bool is_comparison(BinaryOp op) { return op >= BinaryOp::equal; }
bool is_set_operation(BinaryOp op) { return op <= BinaryOp::unless; }

std::string_view to_string(RangeOp op) {
  static constexpr std::array<std::string_view, 15> kNames{"count_over_time",  "rate",
                                                           "rate_counter",     "bytes_over_time",
                                                           "bytes_rate",       "avg_over_time",
                                                           "sum_over_time",    "min_over_time",
                                                           "max_over_time",    "stdvar_over_time",
                                                           "stddev_over_time", "quantile_over_time",
                                                           "first_over_time",  "last_over_time",
                                                           "absent_over_time"};
  return kNames[static_cast<std::size_t>(op)];
}

std::string_view to_string(VectorOp op) {
  static constexpr std::array<std::string_view, 12> kNames{
      "sum", "avg", "count", "max", "min", "stddev", "stdvar", "bottomk", "topk", "sort", "sort_desc", "approx_topk"};
  return kNames[static_cast<std::size_t>(op)];
}

std::string_view to_string(BinaryOp op) {
  static constexpr std::array<std::string_view, 15> kNames{"or", "and", "unless", "+", "-",  "*", "/", "%",
                                                           "^",  "==",  "!=",     ">", ">=", "<", "<="};
  return kNames[static_cast<std::size_t>(op)];
}

std::string_view to_string(LabelFilter::Compare compare) {
  static constexpr std::array<std::string_view, 6> kNames{"=", "!=", ">", ">=", "<", "<="};
  return kNames[static_cast<std::size_t>(compare)];
}

std::string_view to_string(LineFilterStage::Match match) {
  static constexpr std::array<std::string_view, 6> kNames{"|=", "!=", "|~", "!~", "|>", "!>"};
  return kNames[static_cast<std::size_t>(match)];
}

std::string_view to_string(Unwrap::Conversion conversion) {
  static constexpr std::array<std::string_view, 4> kNames{"", "bytes", "duration", "duration_seconds"};
  return kNames[static_cast<std::size_t>(conversion)];
}

}  // namespace tocayo::logql
