// SPDX-License-Identifier: Apache-2.0
// Binary operators on numbers, as the parser folds constants and the engine computes.
#pragma once

#include <cmath>
#include <limits>

#include "logql/syntax/ast.h"

namespace tocayo::logql {

// Comparisons give 1 or 0; a division or remainder by zero gives NaN. Not for and, or, unless.
inline double apply_to_numbers(BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::add: return a + b;
    case BinaryOp::subtract: return a - b;
    case BinaryOp::multiply: return a * b;
    case BinaryOp::divide: return b == 0 ? std::numeric_limits<double>::quiet_NaN() : a / b;
    case BinaryOp::modulo: return b == 0 ? std::numeric_limits<double>::quiet_NaN() : std::fmod(a, b);
    case BinaryOp::power: return std::pow(a, b);
    case BinaryOp::equal: return a == b ? 1 : 0;
    case BinaryOp::not_equal: return a != b ? 1 : 0;
    case BinaryOp::greater: return a > b ? 1 : 0;
    case BinaryOp::greater_or_equal: return a >= b ? 1 : 0;
    case BinaryOp::less: return a < b ? 1 : 0;
    case BinaryOp::less_or_equal: return a <= b ? 1 : 0;
    case BinaryOp::logical_or:
    case BinaryOp::logical_and:
    case BinaryOp::unless: break;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

}  // namespace tocayo::logql
