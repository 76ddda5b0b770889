// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "promql/function_signatures.h"
#include "promql/parser_preprocess.h"
#include "promql/printer.h"
#include "promql/testfile_internal.h"

namespace tocayo::promql::testing {
namespace {

// Their value differs between an instant and a range query.
bool asks_for_query_times(const std::string& expr) {
  static const RE2 pattern(R"((start|end|range|step)\(\))");
  return RE2::PartialMatch(expr, pattern);
}

class Runner {
 public:
  Runner(std::string file, TestTarget& target, const RunOptions& options)
      : file_(std::move(file)), target_(target), options_(options) {
    report_.files = 1;
  }

  Report run(std::string_view text) {
    auto commands = parse_test_file(text);
    if (!commands) {
      add_failure(0, "", commands.error().message);
      return std::move(report_);
    }
    for (const TestCommand& command : *commands) {
      if (options_.max_failures > 0 && std::ssize(report_.failures) >= options_.max_failures) break;
      if (const auto* load = std::get_if<LoadCommand>(&command.what)) {
        if (auto loaded = target_.load(load->series); !loaded)
          add_failure(command.line, "", "load: " + loaded.error().message);
      } else if (const auto* eval = std::get_if<EvalCommand>(&command.what)) {
        run_eval(command.line, *eval);
      } else if (auto cleared = target_.clear(); !cleared) {
        add_failure(command.line, "", "clear: " + cleared.error().message);
      }
    }
    return std::move(report_);
  }

 private:
  // What a single query came to; nullopt = as expected.
  using Problem = std::optional<std::string>;

  void add_failure(int line, const std::string& expr, std::string message) {
    report_.failures.push_back({file_, line, expr, std::move(message)});
  }

  void run_eval(int line, const EvalCommand& command) {
    ++report_.evals;
    std::string expr = command.expr;
    Problem problem = command.is_range ? run_range(command) : run_instant(command, expr);
    if (!problem) return;
    ++report_.evals_failed;
    add_failure(line, expr, std::move(*problem));
  }

  static Problem check_failure(const EvalCommand& command, const Error& error) {
    if (!command.fail) return "failed: " + error.message;
    for (const TextExpectation& expected : command.fail_texts) {
      if (!expected.matches(error.message))
        return fmt::format("expected error matching {} but got: {}", expected.describe(), error.message);
    }
    return std::nullopt;
  }

  Problem run_range(const EvalCommand& command) {
    ++report_.queries;
    auto outcome = target_.range(command.expr, command.start, command.end, command.step);
    if (!outcome) return check_failure(command, outcome.error());
    if (command.fail) return "expected an error but got none";
    if (auto problem = detail::compare_annotations(command, *outcome)) return problem;
    return detail::compare_value(command, outcome->value);
  }

  // `expr` becomes the variant that failed.
  Problem run_instant(const EvalCommand& command, std::string& expr) {
    std::vector<std::pair<std::string, TimestampMs>> variants{{command.expr, command.time}};
    if (options_.at_modifier_runs) {
      auto more = at_modifier_variants(command.expr, command.time, options_.parser);
      // An expression that does not parse is the target's to refuse.
      if (more) variants.insert(variants.end(), more->begin(), more->end());
    }
    for (const auto& [text, time] : variants) {
      if (auto problem = run_variant(command, text, time)) {
        expr = text;
        if (time != command.time || text != command.expr)
          *problem += fmt::format(" [re-run of {} at {} ms]", command.expr, time);
        return problem;
      }
    }
    return std::nullopt;
  }

  Problem run_variant(const EvalCommand& command, const std::string& expr, TimestampMs time) {
    ++report_.queries;
    auto outcome = target_.instant(expr, time);
    if (!outcome) return check_failure(command, outcome.error());
    if (command.fail) return "expected an error but got none";
    if (auto problem = detail::compare_annotations(command, *outcome)) return problem;
    if (auto problem = detail::compare_value(command, outcome->value)) return problem;
    if (!options_.range_runs || command.range_vector || command.string || asks_for_query_times(expr))
      return std::nullopt;
    auto problem = run_as_range(command, expr, time, std::holds_alternative<ScalarValue>(outcome->value));
    if (problem) *problem = "as range query: " + *problem;
    return problem;
  }

  Problem run_as_range(const EvalCommand& command, const std::string& expr, TimestampMs time, bool scalar) {
    constexpr TimestampMs kMinute = 60'000;
    ++report_.queries;
    auto outcome = target_.range(expr, time - kMinute, time + kMinute, Duration(kMinute));
    if (!outcome) return "failed: " + outcome.error().message;
    const auto* matrix = std::get_if<MatrixValue>(&outcome->value);
    if (!matrix) return "the result is no matrix";
    if (command.ordered) return std::nullopt;
    if (auto problem = detail::check_sorted(*matrix)) return problem;
    VectorValue middle{time, {}};
    for (const Series& series : matrix->series) {
      auto at_time = [&](const auto& point) { return point.time == time; };
      if (auto it = std::find_if(series.floats.begin(), series.floats.end(), at_time); it != series.floats.end()) {
        middle.samples.push_back({series.labels, it->value, nullptr});
      }
      if (auto it = std::find_if(series.histograms.begin(), series.histograms.end(), at_time);
          it != series.histograms.end()) {
        middle.samples.push_back({series.labels, 0, it->histogram});
      }
    }
    if (!scalar) return detail::compare_value(command, middle);
    if (middle.samples.empty()) return "no value at the middle step";
    return detail::compare_value(command, ScalarValue{time, middle.samples[0].value});
  }

  std::string file_;
  TestTarget& target_;
  const RunOptions& options_;
  Report report_;
};

bool inside_fixed_subquery(const std::vector<Expr*>& path) {
  return std::any_of(path.begin(), path.end(), [](Expr* node) {
    const auto* subquery = node->as<SubqueryExpr>();
    return subquery && subquery->timestamp;
  });
}

}  // namespace

Result<std::vector<std::pair<std::string, TimestampMs>>> at_modifier_variants(const std::string& text, TimestampMs time,
                                                                              const ParserOptions& options) {
  ExprPtr expr = TRY(parse_expr(text, options));
  bool depends_on_time = false;
  walk(*expr, [&](Expr& node, const std::vector<Expr*>& path) {
    if (inside_fixed_subquery(path)) return;
    if (auto* selector = node.as<VectorSelector>()) {
      if (!selector->timestamp) selector->timestamp = time;
    } else if (auto* subquery = node.as<SubqueryExpr>()) {
      if (!subquery->timestamp) subquery->timestamp = time;
    } else if (auto* call = node.as<Call>()) {
      depends_on_time = depends_on_time || is_at_modifier_unsafe(call->function->name);
    }
  });
  std::vector<std::pair<std::string, TimestampMs>> variants;
  if (depends_on_time) return variants;
  std::string fixed = print(*expr);
  std::vector<TimestampMs> times{-10 * time, 0, time / 5, time, 10 * time};
  if (time == 0) times = {-1000, 0, 1000};
  for (TimestampMs other : times) variants.emplace_back(fixed, other);
  return variants;
}

std::string Failure::to_string() const {
  return expr.empty() ? fmt::format("{}:{}: {}", file, line, message)
                      : fmt::format("{}:{}: {}: {}", file, line, expr, message);
}

void Report::add(const Report& other) {
  files += other.files;
  evals += other.evals;
  evals_failed += other.evals_failed;
  queries += other.queries;
  failures.insert(failures.end(), other.failures.begin(), other.failures.end());
}

std::string Report::summary() const {
  return fmt::format("{} files, {} evals, {} failed, {} queries", files, evals, evals_failed, queries);
}

Report run_text(std::string_view text, const std::string& file_name, TestTarget& target, const RunOptions& options) {
  return Runner(file_name, target, options).run(text);
}

Report run_file(const std::string& path, TestTarget& target, const RunOptions& options) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  if (!in) {
    Report report;
    report.failures.push_back({path, 0, "", "cannot be read"});
    return report;
  }
  return run_text(text.str(), path, target, options);
}

Report run_directory(const std::string& path, TestTarget& target, const RunOptions& options,
                     const std::function<void(const std::string& file, const Report&)>& progress) {
  std::vector<std::string> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
    if (entry.path().extension() == ".test") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  Report report;
  if (files.empty()) report.failures.push_back({path, 0, "", "no *.test file here"});
  for (const std::string& file : files) {
    Report one;
    if (auto cleared = target.clear(); cleared)
      one = run_file(file, target, options);
    else
      one.failures.push_back({file, 0, "", "clear: " + cleared.error().message});
    if (progress) progress(file, one);
    report.add(one);
  }
  return report;
}

}  // namespace tocayo::promql::testing
