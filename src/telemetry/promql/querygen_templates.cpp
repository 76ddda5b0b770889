// SPDX-License-Identifier: Apache-2.0
// Queries that must occur in every run, after the topics of the public PromQL compliance suite.
#include <fmt/format.h>

#include "promql/ast.h"
#include "promql/querygen_internal.h"

namespace tocayo::promql::detail {

void Generator::templates() {
  function_templates();
  range_templates();
  aggregation_templates();
  operator_templates();
  edge_templates();
}

// Each allowed function with plain arguments.
void Generator::function_templates() {
  for (const FunctionSignature& function : all_functions()) {
    if (!function_allowed(function, options_)) continue;
    for (int i = 0; i < 3; ++i) keep(call(function, 1));
  }
  for (std::string_view function :
       {"day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month", "year"}) {
    keep(fmt::format("{}()", function));
    for (std::string_view offset : {"1m", "5m", "-1h"})
      keep(fmt::format("{}({} offset {})", function, name(MetricType::gauge), offset));
    for (std::string_view time : {"0", "951782399", "951868800", "1709164800", "-1", "1e9"})
      keep(fmt::format("{}(vector({}))", function, time));
  }
}

// Every range function over six ranges, and over subqueries.
void Generator::range_templates() {
  for (const FunctionSignature& function : all_functions()) {
    bool plain = function.arg_types.size() == 1 && function.arg_types[0] == ValueType::matrix;
    if (!plain || !function_allowed(function, options_)) continue;
    auto type =
        function.name == "rate" || function.name == "irate" || function.name == "increase" || function.name == "resets"
            ? MetricType::counter
            : MetricType::gauge;
    for (std::string_view range : {"1s", "15s", "1m", "5m", "15m", "1h"})
      keep(fmt::format("{}({}[{}])", function.name, name(type), range));
    keep(fmt::format("{}({}[5m:30s])", function.name, name(type)));
    keep(fmt::format("{}({}[5m:] offset 1m)", function.name, name(type)));
    keep(fmt::format("{}({}[5m] @ end() offset 2m)", function.name, name(type)));
  }
  for (std::string_view quantile : {"-0.5", "0.1", "0.5", "0.75", "0.95", "0.9", "0.99", "1", "1.5"}) {
    keep(fmt::format("quantile_over_time({}, {}[5m])", quantile, name(MetricType::gauge)));
    keep(fmt::format("histogram_quantile({}, rate({}[5m]))", quantile, name(MetricType::classic_bucket)));
    keep(fmt::format("histogram_quantile({}, {})", quantile, name(MetricType::classic_bucket)));
    keep(fmt::format("quantile({}, {})", quantile, name(MetricType::gauge)));
    keep(fmt::format("quantile by ({}) ({}, {})", label(), quantile, name(MetricType::gauge)));
  }
  keep(fmt::format("max_over_time((time() - max({0}) < 1000)[5m:10s] offset 5m)", name(MetricType::gauge)));
  keep(fmt::format("avg_over_time(rate({0}[1m])[2m:10s])", name(MetricType::counter)));
  keep(fmt::format("max_over_time(sum_over_time({0}[1m])[10m:1m])", name(MetricType::gauge)));
  keep(fmt::format("predict_linear({0}[10m], 3600)", name(MetricType::gauge)));
}

void Generator::aggregation_templates() {
  for (AggregateOp op : allowed_aggregations(options_)) {
    std::string_view param = op == AggregateOp::count_values  ? "\"value\", "
                             : op == AggregateOp::quantile    ? "0.5, "
                             : op == AggregateOp::limit_ratio ? "0.5, "
                             : takes_parameter(op)            ? "2, "
                                                              : "";
    for (const std::string& group :
         {std::string(), std::string(" by ()"), std::string(" without ()"), fmt::format(" by ({})", label()),
          fmt::format(" without ({})", label()), fmt::format(" by ({}, nosuch)", label()), std::string(" by (nosuch)"),
          std::string(" without (nosuch)")}) {
      keep(fmt::format("{}{} ({}{})", to_string(op), group, param, name(MetricType::gauge)));
    }
    keep(fmt::format("{}({}{}) by ({})", to_string(op), param, name(MetricType::counter), label()));
  }
}

void Generator::operator_templates() {
  std::string gauge = name(MetricType::gauge), counter = name(MetricType::counter);
  for (BinaryOp op : allowed_operators(options_)) {
    std::string_view sign = to_string(op);
    if (op == BinaryOp::trim_upper || op == BinaryOp::trim_lower) {
      for (std::string_view bound : {"0", "1", "2.5", "-Inf", "Inf"})
        keep(fmt::format("{} {} {}", name(MetricType::native_histogram), sign, bound));
      continue;
    }
    bool set = is_set_operator(op);
    for (std::string_view how : is_comparison(op) ? std::initializer_list<std::string_view>{"", " bool"}
                                                  : std::initializer_list<std::string_view>{""}) {
      keep(fmt::format("{0} {1}{2} {0}", gauge, sign, how));
      keep(fmt::format("{0} {1}{2} on ({3}) {0}", gauge, sign, how, label()));
      keep(fmt::format("{0} {1}{2} ignoring ({3}) {0}", gauge, sign, how, label()));
      if (set) continue;
      for (std::string_view number : {"1", "-2.5", "0", "NaN", "Inf"}) {
        keep(fmt::format("{} {}{} {}", gauge, sign, how, number));
        keep(fmt::format("{} {}{} {}", number, sign, how, gauge));
      }
      keep(fmt::format("{0} {1}{2} on ({3}) group_left sum by ({3}) ({0})", gauge, sign, how, label()));
      keep(fmt::format("sum without ({3}) ({0}) {1}{2} ignoring ({3}) group_right () {0}", gauge, sign, how, label()));
      keep(fmt::format("{0} {1}{2} on () group_left () sum({0})", gauge, sign, how));
    }
    if (set) {
      keep(fmt::format("{} {} {}", gauge, sign, counter));
      keep(fmt::format("{} {} on () vector(1)", gauge, sign));
    } else {
      keep(fmt::format("1 {}{} 2", sign, is_comparison(op) ? " bool" : ""));
      keep(fmt::format("time() {}{} {}", sign, is_comparison(op) ? " bool" : "", "scalar(" + gauge + ")"));
    }
  }
}

// Edges, and queries that must fail in both.
void Generator::edge_templates() {
  std::string gauge = name(MetricType::gauge), counter = name(MetricType::counter);
  for (std::string_view limits : {"0, 1", "1, 0", "-Inf, Inf", "NaN, 1", "0, NaN", "5, 5"})
    keep(fmt::format("clamp({}, {})", gauge, limits));
  for (std::string_view bound : {"0", "NaN", "Inf", "-Inf"}) {
    keep(fmt::format("clamp_min({}, {})", gauge, bound));
    keep(fmt::format("clamp_max({}, {})", gauge, bound));
  }
  for (std::string_view to : {"0.1", "10", "0.25", "-1", "3"}) keep(fmt::format("round({}, {})", gauge, to));
  for (std::string_view args :
       {"\"job\", \"value-$1\", \"instance\", \"(.*):.*\"", "\"job\", \"$1\", \"nosuch\", \"(.*)\"",
        "\"job\", \"\", \"instance\", \".*\"", "\"~invalid\", \"\", \"instance\", \"(.*)\"",
        "\"job\", \"x\", \"instance\", \"(.*\"", "\"instance\", \"same\", \"\", \"\"",
        "\"job\", \"$2\", \"instance\", \"(.*)\"", "\"__name__\", \"rate_$1\", \"__name__\", \"(.+)\""}) {
    keep(fmt::format("label_replace({}, {})", gauge, args));
  }
  for (std::string_view args : {"\"new\", \"-\", \"instance\", \"job\"", "\"job\", \"-\"", "\"job\", \"-\", \"nosuch\"",
                                "\"~invalid\", \"-\", \"job\"", "\"new\", \"\", \"job\""}) {
    keep(fmt::format("label_join({}, {})", gauge, args));
  }
  for (std::string_view query : {"absent({0})",
                                 "absent(nosuch)",
                                 "absent(nosuch{{job=\"x\", a!=\"b\"}})",
                                 "absent(sum(nosuch{{job=\"x\"}}))",
                                 "absent_over_time({0}[5m])",
                                 "absent_over_time(nosuch{{job=\"x\", job=\"y\"}}[5m])",
                                 "scalar({0})",
                                 "scalar(sum({0}))",
                                 "vector(scalar(sum({0})))",
                                 "timestamp({0})",
                                 "timestamp(timestamp({0}))",
                                 "timestamp({0} offset 1m)",
                                 "sort({0})",
                                 "sort_desc({0})",
                                 "-{0}",
                                 "+{0}",
                                 "-{0} ^ 2",
                                 "2 ^ -{0}",
                                 "{0} @ start()",
                                 "{0} @ end() offset 1m",
                                 "{0} offset -5m",
                                 "sum({0} @ end()) - {0}",
                                 "{0} == {0} or {1}",
                                 "{0} > 0 and {0} < 100",
                                 "({0} > 0) unless ({0} > 10)",
                                 "count_values(\"job\", {0})",
                                 "topk(scalar(count({0})), {0})",
                                 "topk(0, {0})",
                                 "bottomk(-1, {0})",
                                 "{0} % 0",
                                 "{0} / 0",
                                 "0 / 0 * {0}",
                                 "{0} ^ 0.5",
                                 "-1 ^ {0}",
                                 "rate({1}[1m]) > bool 0",
                                 "{{__name__=~\".+\"}} + 1",
                                 "sum({{__name__=~\".+\",job=~\".+\"}})",
                                 "rate({{__name__=~\".*total\"}}[5m])",
                                 "ceil({{__name__=~\".+\"}})",
                                 "{0} * on (nosuch) {0}",
                                 "{0} + on (job) group_left (instance) {0}",
                                 "count({0}) by (nosuch)",
                                 "{0}[5m:1m]",
                                 "{0}[1m]"}) {
    keep(fmt::format(fmt::runtime(query), gauge, counter));
  }
}

}  // namespace tocayo::promql::detail
