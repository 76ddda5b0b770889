// SPDX-License-Identifier: Apache-2.0
// Lines of a promqltest file to commands.
#include "promql/testfile.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <map>

#include "promql/parser_internal.h"
#include "promql/testfile_internal.h"

namespace tocayo::promql::testing {
namespace {

const RE2& instant_pattern() {
  static const RE2 pattern(R"(eval(?:_(fail|warn|ordered|info))?\s+instant\s+(?:at\s+(.+?))?\s+(.+))");
  return pattern;
}
const RE2& range_pattern() {
  static const RE2 pattern(R"(eval(?:_(fail|warn|info))?\s+range\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+?)\s+(.+))");
  return pattern;
}
const RE2& load_pattern() {
  static const RE2 pattern(R"(load(?:_(with_nhcb))?\s+(.+?))");
  return pattern;
}
const RE2& expect_pattern() {
  static const RE2 pattern(R"(expect\s+(ordered|fail|warn|no_warn|info|no_info)(?:\s+(regex|msg):(.+))?)");
  return pattern;
}
const RE2& range_vector_pattern() {
  static const RE2 pattern(R"(expect range vector\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+))");
  return pattern;
}

// TRY for what yields nothing.
#define TRY_VOID(...) \
  if (auto tried = (__VA_ARGS__); !tried) return std::unexpected(std::move(tried.error()))

constexpr std::string_view kSpaces = " \t\r\v\f";

std::string_view trim(std::string_view text) {
  std::size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpaces) - begin + 1);
}

std::unexpected<Error> bad(std::string message) { return fail(ErrorKind::bad_input, std::move(message)); }

Result<std::int64_t> duration_of(std::string_view text, std::string_view what) {
  auto duration = promql::detail::parse_duration_literal_text(text);
  if (!duration) return bad(fmt::format("invalid {} definition \"{}\": {}", what, text, duration.error().message));
  return duration->count();
}

std::string_view first_word(std::string_view line) { return line.substr(0, line.find_first_of(" \t")); }

class FileParser {
 public:
  explicit FileParser(std::string_view text) {
    while (true) {
      std::size_t end = text.find('\n');
      std::string_view line = trim(text.substr(0, end));
      lines_.push_back(line.starts_with('#') ? std::string_view() : line);
      if (end == std::string_view::npos) break;
      text.remove_prefix(end + 1);
    }
  }

  Result<std::vector<TestCommand>> run() {
    std::vector<TestCommand> commands;
    while (at_ < lines_.size()) {
      if (lines_[at_].empty()) {
        ++at_;
        continue;
      }
      TestCommand command;
      command.line = static_cast<int>(at_) + 1;
      auto parsed = parse_command(command);
      // at_ stands on the line that was wrong.
      if (!parsed) return bad(fmt::format("line {}: {}", std::min(at_, lines_.size() - 1) + 1, parsed.error().message));
      commands.push_back(std::move(command));
    }
    return commands;
  }

 private:
  Result<> parse_command(TestCommand& command) {
    std::string word(first_word(lines_[at_]));
    for (char& c : word) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (word == "clear") {
      ++at_;
      return {};
    }
    if (word.starts_with("load")) {
      command.what = TRY(parse_load());
      return {};
    }
    if (word.starts_with("eval")) {
      command.what = TRY(parse_eval());
      return {};
    }
    return bad(fmt::format("invalid command \"{}\"", lines_[at_]));
  }

  Result<LoadCommand> parse_load() {
    std::string converted, step;
    if (!RE2::FullMatch(std::string(lines_[at_]), load_pattern(), &converted, &step)) {
      return bad("invalid load command. (load[_with_nhcb] <step:duration>)");
    }
    std::int64_t interval = TRY(duration_of(step, "step"));
    LoadCommand command;
    std::optional<std::pair<Labels, std::vector<std::optional<std::int64_t>>>> start_times;
    for (++at_; at_ < lines_.size() && !lines_[at_].empty(); ++at_) {
      std::string_view line = lines_[at_];
      if (first_word(line) != line && first_word(line).ends_with("@st")) {
        if (start_times) return bad("@st line has no following sample line");
        std::string_view metric = first_word(line);
        start_times.emplace(TRY(parse_series_description(metric.substr(0, metric.size() - 3))).labels,
                            TRY(parse_start_time_sequence(line.substr(metric.size()))));
        continue;
      }
      SeriesDescription description = TRY(parse_series_description(line));
      if (start_times) {
        if (start_times->first != description.labels)
          return bad("@st metric does not match the following sample line metric");
        if (start_times->second.size() != description.values.size()) {
          return bad(fmt::format("@st line has {} values but sample line has {}", start_times->second.size(),
                                 description.values.size()));
        }
      }
      add_series(command, std::move(description), start_times ? &start_times->second : nullptr, interval);
      start_times.reset();
    }
    if (start_times) return bad("@st line has no following sample line");
    if (!converted.empty()) {
      auto appended = detail::append_custom_bucket_histograms(command.series);
      if (!appended) return std::unexpected(std::move(appended.error()));
    }
    return command;
  }

  static void add_series(LoadCommand& command, SeriesDescription description,
                         const std::vector<std::optional<std::int64_t>>* start_times, std::int64_t interval) {
    TestSeries series{std::move(description.labels), {}};
    for (std::size_t i = 0; i < description.values.size(); ++i) {
      SequenceValue& value = description.values[i];
      if (value.omitted) continue;
      TestPoint point{.time = static_cast<std::int64_t>(i) * interval,
                      .value = value.value,
                      .histogram = std::move(value.histogram)};
      if (start_times && (*start_times)[i]) point.start_time = point.time + *(*start_times)[i];
      series.points.push_back(std::move(point));
    }
    // A later line with the same labels replaces an earlier one of the same load.
    auto same = std::find_if(command.series.begin(), command.series.end(),
                             [&](const TestSeries& s) { return s.labels == series.labels; });
    if (same != command.series.end())
      *same = std::move(series);
    else
      command.series.push_back(std::move(series));
  }

  Result<EvalCommand> parse_eval() {
    std::string line(lines_[at_]), modifier, at, from, to, step;
    EvalCommand command;
    if (RE2::FullMatch(line, instant_pattern(), &modifier, &at, &command.expr)) {
      command.time = command.start = TRY(duration_of(at, "timestamp"));
    } else if (RE2::FullMatch(line, range_pattern(), &modifier, &from, &to, &step, &command.expr)) {
      command.is_range = true;
      TRY_VOID(set_range(command, from, to, step));
    } else {
      return bad(
          "invalid evaluation command. Must be either 'eval[_fail|_warn|_ordered] instant [at <offset:duration>] "
          "<query>' or "
          "'eval[_fail|_warn] range from <from> to <to> step <step> <query>'");
    }
    command.ordered = modifier == "ordered";
    command.fail = modifier == "fail";
    command.any_warning = modifier == "warn";
    command.any_info = modifier == "info";
    int position = 1;
    for (++at_; at_ < lines_.size() && !lines_[at_].empty(); ++position) {
      bool last = false;
      TRY_VOID(parse_expectation(command, std::string(lines_[at_]), position, last));
      ++at_;
      if (last) break;
    }
    return command;
  }

  static Result<> set_range(EvalCommand& command, std::string_view from, std::string_view to, std::string_view step) {
    command.start = TRY(duration_of(from, "start timestamp"));
    command.end = TRY(duration_of(to, "end timestamp"));
    if (command.end < command.start) {
      return bad(fmt::format("invalid test definition, end timestamp ({}) is before start timestamp ({})", to, from));
    }
    command.step = Duration(TRY(duration_of(step, "step")));
    return {};
  }

  Result<> parse_expectation(EvalCommand& command, const std::string& line, int& position, bool& last) {
    constexpr std::string_view kMessage = "expected_fail_message", kRegexp = "expected_fail_regexp",
                               kString = "expect string";
    if (command.fail && line.starts_with(kMessage)) {
      command.fail_texts.push_back({std::string(trim(std::string_view(line).substr(kMessage.size()))), nullptr});
      last = true;
      return {};
    }
    if (command.fail && line.starts_with(kRegexp)) {
      command.fail_texts.push_back(TRY(regex(trim(std::string_view(line).substr(kRegexp.size())))));
      last = true;
      return {};
    }
    if (line.starts_with("expect range vector")) {
      std::string from, to, step;
      if (!RE2::FullMatch(line, range_vector_pattern(), &from, &to, &step))
        return bad(fmt::format("invalid range vector definition \"{}\"", line));
      command.range_vector = true;
      TRY_VOID(set_range(command, from, to, step));
      command.time = command.end;
      return {};
    }
    if (line.starts_with(kString)) {
      command.string = TRY(string_literal(std::string_view(line).substr(kString.size())));
      return {};
    }
    if (first_word(line) == "expect") {
      --position;
      return parse_expect(command, line);
    }
    if (auto number = promql::detail::parse_number_text(line)) {
      command.scalar = *number;
      last = true;
      return {};
    }
    SeriesDescription description = TRY(parse_series_description(line));
    if (description.values.size() > 1 && !command.is_range && !command.range_vector) {
      return bad(
          "expecting multiple values in instant evaluation not allowed. consider using 'expect range vector' directive "
          "to enable a "
          "range vector result for an instant query");
    }
    ExpectedSeries expected{std::move(description.labels), std::move(description.values), position};
    auto same = std::find_if(command.series.begin(), command.series.end(),
                             [&](const ExpectedSeries& s) { return s.labels == expected.labels; });
    if (same != command.series.end())
      *same = std::move(expected);
    else
      command.series.push_back(std::move(expected));
    return {};
  }

  static Result<std::string> string_literal(std::string_view text) {
    text = trim(text);
    ParserOptions options;
    ParseError error;
    ExprPtr literal = text.empty() ? nullptr : parse_expr(text, options, error);
    if (!literal || !literal->as<StringLiteral>())
      return bad("expected string literal not valid - check that the string is correctly quoted");
    return literal->as<StringLiteral>()->value;
  }

  static Result<TextExpectation> regex(std::string_view pattern) {
    RE2::Options options;
    options.set_log_errors(false);
    auto compiled = std::make_shared<const RE2>(std::string(pattern), options);
    if (!compiled->ok()) return bad(fmt::format("invalid regex {}: {}", pattern, compiled->error()));
    return TextExpectation{std::string(pattern), std::move(compiled)};
  }

  static Result<> parse_expect(EvalCommand& command, const std::string& line) {
    std::string mode, kind, text;
    if (!RE2::FullMatch(line, expect_pattern(), &mode, &kind, &text)) {
      return bad("invalid expect statement, must match `expect <type> <match_type>: <string>` format");
    }
    TextExpectation expectation;
    if (kind == "msg")
      expectation.text = trim(text);
    else
      expectation = TRY(regex(kind == "regex" ? trim(text) : std::string_view(".*")));
    if (mode == "ordered")
      command.ordered = true;
    else if (mode == "no_warn")
      command.no_warning = true;
    else if (mode == "no_info")
      command.no_info = true;
    else if (mode == "warn")
      command.warnings.push_back(std::move(expectation));
    else if (mode == "info")
      command.infos.push_back(std::move(expectation));
    else {
      if (command.fail && !command.fail_texts.empty())
        return bad("invalid expect lines, multiple expect fail lines are not allowed");
      command.fail = true;
      command.fail_texts.push_back(std::move(expectation));
    }
    if (command.no_info && !command.infos.empty())
      return bad("invalid expect lines, info and no_info cannot be used together");
    if (command.no_warning && !command.warnings.empty())
      return bad("invalid expect lines, warn and no_warn cannot be used together");
    return {};
  }

  std::vector<std::string_view> lines_;
  std::size_t at_ = 0;
};

}  // namespace

bool TextExpectation::matches(std::string_view actual) const {
  return regex ? RE2::PartialMatch(re2::StringPiece(actual.data(), actual.size()), *regex) : actual == text;
}

std::string TextExpectation::describe() const { return (regex ? "pattern " : "message ") + go_quote(text); }

Result<std::vector<TestCommand>> parse_test_file(std::string_view text) { return FileParser(text).run(); }

}  // namespace tocayo::promql::testing
