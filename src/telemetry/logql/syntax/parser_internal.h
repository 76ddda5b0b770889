// SPDX-License-Identifier: Apache-2.0
// The recursive-descent parser behind parser.h. One token of lookahead; the first error ends the parse.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "logql/syntax/lexer.h"
#include "logql/syntax/parser.h"

namespace tocayo::logql::detail {

class Parser {
 public:
  explicit Parser(std::string_view input) : lexer_(input) { take(); }

  Result<Expr> parse_query();
  Result<std::vector<Matcher>> parse_bare_selector();

 private:
  // An expression with the depth of its tree, so that chains of operators are bounded as well as parentheses.
  struct Tree {
    ExprPtr expr;
    std::size_t depth = 1;
  };
  // A log query that may have met its `[5m]`.
  struct PartialRange {
    LogRange range;
    bool has_interval = false;
    bool pipeline_may_follow = false;  // `selector [5m] | json`
  };
  struct Modifier {
    bool return_bool = false;
    VectorMatching matching;
  };

  class DepthGuard;

  // tokens
  Token take();  // returns the current one and reads the next
  bool at(TokenKind kind) const { return token_.kind == kind; }
  bool accept(TokenKind kind);
  Result<Token> expect(TokenKind kind, std::initializer_list<TokenKind> expected);
  Result<Token> expect(TokenKind kind) { return expect(kind, {kind}); }
  std::unexpected<Error> unexpected(std::initializer_list<TokenKind> expected = {}) const;
  std::unexpected<Error> error(const Position& position, std::string_view message) const;
  // An error of meaning, reported only when the whole query follows the grammar (so does Loki).
  void refuse(const Position& position, std::string message);

  // expressions (parser.cpp)
  Result<Tree> parse_expr(int min_precedence);
  Result<Tree> parse_primary();
  Result<Tree> parse_number();
  Result<Tree> parse_range_aggregation();
  Result<Tree> parse_vector_aggregation();
  Result<Tree> parse_label_replace();
  Result<Tree> parse_vector_number();
  Result<Tree> parse_metric_argument();
  Result<Modifier> parse_modifier();
  Tree combine(const Token& op, Modifier modifier, Tree left, Tree right);
  Result<Grouping> parse_grouping();
  Result<std::vector<std::string>> parse_names();  // after "(", up to and with ")"
  void check(RangeAggregation& aggregation, const Position& position, const std::optional<std::string>& parameter);
  void check(VectorAggregation& aggregation, const Position& position, const std::optional<std::string>& parameter);

  // log queries (parser_log.cpp)
  Result<LogExpr> parse_log_expr(bool stop_at_unwrap, std::optional<Unwrap>* unwrap);
  Result<std::vector<Matcher>> parse_selector();
  Result<Matcher> parse_matcher(const Token& name);
  Result<> parse_stages(LogExpr& log, std::optional<Unwrap>* unwrap);
  Result<Stage> parse_line_filter();
  Result<LineFilterStage::Operand> parse_line_operand();
  Result<Stage> parse_piped_stage(const Position& position);
  Result<JsonStage> parse_json();
  Result<LogfmtStage> parse_logfmt();
  Result<std::vector<Extraction>> parse_extractions();
  Result<LabelFormatStage> parse_label_format();
  Result<std::vector<NamedMatcher>> parse_named_matchers();
  Result<Unwrap> parse_unwrap(const Position& position);
  Result<PartialRange> parse_range();
  Result<> parse_interval(PartialRange& partial);

  // label filters (parser_log.cpp)
  Result<LabelFilter> parse_label_filter(int min_precedence);
  Result<LabelFilter> parse_label_condition();

  Lexer lexer_;
  Token token_;
  std::size_t depth_ = 0;
  std::string refusal_;
};

// Counts one level of nesting; false when there are too many.
class Parser::DepthGuard {
 public:
  explicit DepthGuard(Parser& parser) : parser_(parser) { ++parser_.depth_; }
  ~DepthGuard() { --parser_.depth_; }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;
  explicit operator bool() const { return parser_.depth_ <= kMaxDepth; }

 private:
  Parser& parser_;
};

inline constexpr std::string_view kTooDeep = "the query is nested too deeply";

}  // namespace tocayo::logql::detail
