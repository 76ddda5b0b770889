// SPDX-License-Identifier: Apache-2.0
#include "promql/function_signatures.h"

#include <algorithm>
#include <array>

namespace tocayo::promql {
namespace {

using enum ValueType;

constexpr ValueType kMatrix[] = {matrix};
constexpr ValueType kMatrixScalar[] = {matrix, scalar};
constexpr ValueType kMatrixScalarScalar[] = {matrix, scalar, scalar};
constexpr ValueType kScalar[] = {scalar};
constexpr ValueType kScalarMatrix[] = {scalar, matrix};
constexpr ValueType kScalarScalar[] = {scalar, scalar};
constexpr ValueType kScalarScalarVector[] = {scalar, scalar, vector};
constexpr ValueType kScalarVector[] = {scalar, vector};
constexpr ValueType kVector[] = {vector};
constexpr ValueType kVectorScalar[] = {vector, scalar};
constexpr ValueType kVectorScalarScalar[] = {vector, scalar, scalar};
constexpr ValueType kVectorString[] = {vector, string};
constexpr ValueType kVectorStringScalarScalar[] = {vector, string, scalar, scalar};
constexpr ValueType kVectorStringStringString[] = {vector, string, string, string};
constexpr ValueType kVectorStringStringStringString[] = {vector, string, string, string, string};
constexpr ValueType kVectorVector[] = {vector, vector};
constexpr std::span<const ValueType> kNothing;

constexpr auto kFunctions = std::to_array<FunctionSignature>({
    {"abs", kVector, 0, vector},
    {"absent", kVector, 0, vector},
    {"absent_over_time", kMatrix, 0, vector},
    {"acos", kVector, 0, vector},
    {"acosh", kVector, 0, vector},
    {"asin", kVector, 0, vector},
    {"asinh", kVector, 0, vector},
    {"atan", kVector, 0, vector},
    {"atanh", kVector, 0, vector},
    {"avg_over_time", kMatrix, 0, vector},
    {"ceil", kVector, 0, vector},
    {"changes", kMatrix, 0, vector},
    {"clamp", kVectorScalarScalar, 0, vector},
    {"clamp_max", kVectorScalar, 0, vector},
    {"clamp_min", kVectorScalar, 0, vector},
    {"cos", kVector, 0, vector},
    {"cosh", kVector, 0, vector},
    {"count_over_time", kMatrix, 0, vector},
    {"day_of_month", kVector, 1, vector},
    {"day_of_week", kVector, 1, vector},
    {"day_of_year", kVector, 1, vector},
    {"days_in_month", kVector, 1, vector},
    {"deg", kVector, 0, vector},
    {"delta", kMatrix, 0, vector},
    {"deriv", kMatrix, 0, vector},
    {"double_exponential_smoothing", kMatrixScalarScalar, 0, vector, true},
    {"end", kNothing, 0, scalar, true},
    {"exp", kVector, 0, vector},
    {"first_over_time", kMatrix, 0, vector},
    {"floor", kVector, 0, vector},
    {"histogram_avg", kVector, 0, vector},
    {"histogram_count", kVector, 0, vector},
    {"histogram_fraction", kScalarScalarVector, 0, vector},
    {"histogram_quantile", kScalarVector, 0, vector},
    {"histogram_quantiles", kVectorStringScalarScalar, 9, vector, true},
    {"histogram_stddev", kVector, 0, vector},
    {"histogram_stdvar", kVector, 0, vector},
    {"histogram_sum", kVector, 0, vector},
    {"hour", kVector, 1, vector},
    {"idelta", kMatrix, 0, vector},
    {"increase", kMatrix, 0, vector},
    {"info", kVectorVector, 1, vector, true},
    {"irate", kMatrix, 0, vector},
    {"label_join", kVectorStringStringString, -1, vector},
    {"label_replace", kVectorStringStringStringString, 0, vector},
    {"last_over_time", kMatrix, 0, vector},
    {"ln", kVector, 0, vector},
    {"log10", kVector, 0, vector},
    {"log2", kVector, 0, vector},
    {"mad_over_time", kMatrix, 0, vector, true},
    {"max_of", kScalarScalar, 0, scalar, true},
    {"max_over_time", kMatrix, 0, vector},
    {"min_of", kScalarScalar, 0, scalar, true},
    {"min_over_time", kMatrix, 0, vector},
    {"minute", kVector, 1, vector},
    {"month", kVector, 1, vector},
    {"pi", kNothing, 0, scalar},
    {"predict_linear", kMatrixScalar, 0, vector},
    {"present_over_time", kMatrix, 0, vector},
    {"quantile_over_time", kScalarMatrix, 0, vector},
    {"rad", kVector, 0, vector},
    {"range", kNothing, 0, scalar, true},
    {"rate", kMatrix, 0, vector},
    {"resets", kMatrix, 0, vector},
    {"round", kVectorScalar, 1, vector},
    {"scalar", kVector, 0, scalar},
    {"sgn", kVector, 0, vector},
    {"sin", kVector, 0, vector},
    {"sinh", kVector, 0, vector},
    {"sort", kVector, 0, vector},
    {"sort_by_label", kVectorString, -1, vector, true},
    {"sort_by_label_desc", kVectorString, -1, vector, true},
    {"sort_desc", kVector, 0, vector},
    {"sqrt", kVector, 0, vector},
    {"start", kNothing, 0, scalar, true},
    {"start_timestamp", kVector, 0, vector, true},
    {"stddev_over_time", kMatrix, 0, vector},
    {"stdvar_over_time", kMatrix, 0, vector},
    {"step", kNothing, 0, scalar, true},
    {"sum_over_time", kMatrix, 0, vector},
    {"tan", kVector, 0, vector},
    {"tanh", kVector, 0, vector},
    {"time", kNothing, 0, scalar},
    {"timestamp", kVector, 0, vector},
    {"ts_of_first_over_time", kMatrix, 0, vector, true},
    {"ts_of_last_over_time", kMatrix, 0, vector, true},
    {"ts_of_max_over_time", kMatrix, 0, vector, true},
    {"ts_of_min_over_time", kMatrix, 0, vector, true},
    {"vector", kScalar, 0, vector},
    {"year", kVector, 1, vector},
});
static_assert(std::ranges::is_sorted(kFunctions, {}, &FunctionSignature::name));

}  // namespace

std::span<const FunctionSignature> all_functions() { return kFunctions; }

const FunctionSignature* find_function(std::string_view name) {
  auto it = std::ranges::lower_bound(kFunctions, name, {}, &FunctionSignature::name);
  return it != kFunctions.end() && it->name == name ? &*it : nullptr;
}

std::size_t function_index(const FunctionSignature& function) {
  return static_cast<std::size_t>(&function - kFunctions.data());
}

}  // namespace tocayo::promql
