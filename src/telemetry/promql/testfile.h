// SPDX-License-Identifier: Apache-2.0
// promqltest: the little language of Prometheus' engine tests (load …, eval …, expect …), its parser and its runner.
//
// The runner knows no engine: it talks to a TestTarget, so that the same files drive the engine in-process and a real
// server through HTTP. Not thread-safe; one runner and one target per thread.
#pragma once

#include <chrono>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/error.h"
#include "core/labels.h"
#include "core/time.h"
#include "metrics/histogram.h"
#include "promql/parser.h"
#include "promql/value.h"

namespace re2 {
class RE2;
}

namespace tocayo::promql::testing {

// ---- what a target is given and gives back
// -------------------------------------------------------------------------------------

struct TestPoint {
  TimestampMs time = 0;
  double value = 0;                           // metrics::kStaleNaN for `stale`
  metrics::HistogramPtr histogram = nullptr;  // instead of the value when not null
  TimestampMs start_time = 0;                 // 0 = unknown
};
struct TestSeries {
  Labels labels;
  std::vector<TestPoint> points;  // ascending by time
};

struct TestOutcome {
  Value value;
  std::vector<std::string> warnings, infos;  // with " (line:col)"
};

// A histogram that only knows bucket boundaries, as the HTTP API shows it, is handed over with this schema:
// custom_values holds lower and upper bound of each bucket in turn, positive_buckets their counts; zero bucket and
// spans are not used.
inline constexpr std::int32_t kApiBucketsSchema = -1000;

// What is tested. Errors are the messages of the query API; the kind does not matter.
class TestTarget {
 public:
  virtual ~TestTarget() = default;
  virtual Result<> clear() = 0;
  // Adds to what is there. Points of one series may come in several calls.
  virtual Result<> load(std::span<const TestSeries> series) = 0;
  virtual Result<TestOutcome> instant(const std::string& expr, TimestampMs time) = 0;
  virtual Result<TestOutcome> range(const std::string& expr, TimestampMs start, TimestampMs end, Duration step) = 0;
};

// ---- the file
// ------------------------------------------------------------------------------------------------------------------

// One value of a series description.
struct SequenceValue {
  bool omitted = false;  // `_`
  double value = 0;
  metrics::HistogramPtr histogram = nullptr;
  bool hint_set = false;  // counter_reset_hint was written, so it is compared
};

struct SeriesDescription {
  Labels labels;
  std::vector<SequenceValue> values;
};
// `metric{a="b"} 1+2x3 _ stale {{schema:0 count:1}}x2`. bad_input with a message.
Result<SeriesDescription> parse_series_description(std::string_view text);
// Offsets from each sample in milliseconds, nullopt for `_`: `-1m _x2 -30s-1mx2`.
Result<std::vector<std::optional<std::int64_t>>> parse_start_time_sequence(std::string_view text);

struct ClearCommand {};

struct LoadCommand {
  std::vector<TestSeries> series;  // with the converted histograms of load_with_nhcb
};

// `msg: …` must be equal, `regex: …` must be found; neither: anything matches.
struct TextExpectation {
  std::string text;
  std::shared_ptr<const re2::RE2> regex;  // shared: commands are copied; null = compare with text
  bool matches(std::string_view actual) const;
  std::string describe() const;
};

struct ExpectedSeries {
  Labels labels;
  std::vector<SequenceValue> values;
  int position = 0;  // from 1, in the order written
};

struct EvalCommand {
  std::string expr;
  bool is_range = false;
  TimestampMs start = 0, end = 0;  // instant: start is the time; with `expect range vector` those of the matrix
  Duration step{0};
  TimestampMs time = 0;  // of an instant query

  bool ordered = false, fail = false, any_warning = false, any_info = false, no_warning = false, no_info = false;
  std::vector<TextExpectation> fail_texts, warnings, infos;
  std::optional<double> scalar;
  std::optional<std::string> string;
  std::vector<ExpectedSeries> series;
  bool range_vector = false;  // `expect range vector`
};

struct TestCommand {
  int line = 0;  // from 1
  std::variant<ClearCommand, LoadCommand, EvalCommand> what;
};

// Whole file. Error: bad_input "line N: …". Queries are parsed only when they run.
Result<std::vector<TestCommand>> parse_test_file(std::string_view text);

// ---- the run
// -------------------------------------------------------------------------------------------------------------------

struct RunOptions {
  bool at_modifier_runs = true;                 // evaluate again with `@ t` everywhere
  bool range_runs = true;                       // evaluate instant queries again as range queries
  int max_failures = 0;                         // stop after so many, 0 = never
  ParserOptions parser = ParserOptions::all();  // for the `@` rewriting
};

struct Failure {
  std::string file;
  int line = 0;
  std::string expr;               // as evaluated
  std::string message;            // expected and got
  std::string to_string() const;  // "file:line: expr: message"
};

struct Report {
  int files = 0;
  int evals = 0;  // eval commands
  int evals_failed = 0;
  int queries = 0;                // run in all, re-runs included
  std::vector<Failure> failures;  // the first of each eval; parse errors of the file too
  bool passed() const { return failures.empty() && evals > 0; }
  void add(const Report& other);
  std::string summary() const;  // "14 files, 1200 evals, 3 failed, 9876 queries"
};

Report run_text(std::string_view text, const std::string& file_name, TestTarget& target,
                const RunOptions& options = {});
Report run_file(const std::string& path, TestTarget& target, const RunOptions& options = {});
// All *.test files of a directory, sorted by name; clears the target before each. No file: a failure.
Report run_directory(const std::string& path, TestTarget& target, const RunOptions& options = {},
                     const std::function<void(const std::string& file, const Report&)>& progress = {});

// The re-evaluations of an instant query with `@`: empty when its result may depend on the evaluation time. (expr,
// time)
Result<std::vector<std::pair<std::string, TimestampMs>>> at_modifier_variants(const std::string& expr, TimestampMs time,
                                                                              const ParserOptions& options);

// Relative 1e-6 as Prometheus compares; NaN equals NaN, the stale marker only itself.
bool almost_equal(double a, double b);
// After compaction; `check_hint` compares the hint too. `actual` may have kApiBucketsSchema.
bool histograms_match(const metrics::FloatHistogram& expected, const metrics::FloatHistogram& actual, bool check_hint);

}  // namespace tocayo::promql::testing
