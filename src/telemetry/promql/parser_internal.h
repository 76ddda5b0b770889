// SPDX-License-Identifier: Apache-2.0
// The parser's state, shared by its source files. Not for other rooms.
//
// Every parse_… method returns null (or false) after it has called error(); only the first error is kept, and the
// callers unwind.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "promql/lexer.h"
#include "promql/parser.h"

namespace tocayo::promql::detail {

class Parser {
 public:
  Parser(std::string_view input, const ParserOptions& options)
      : input_(input), options_(options), stream_(lex(input)) {}

  ExprPtr expression();  // the whole input
  std::unique_ptr<VectorSelector> metric_selector();
  bool metric(Labels& labels);  // a label set with an optional name
  const ParseError& error() const { return error_; }

 private:
  // tokens
  const Token& peek() const { return stream_.tokens[at_]; }
  const Token& peek_after() const { return stream_.tokens[at_ + 1 < stream_.tokens.size() ? at_ + 1 : at_]; }
  bool is(TokenType type) const { return peek().type == type; }
  Token take();
  std::string_view text(const Token& token) const { return input_.substr(token.start, token.stop - token.start); }
  static PositionRange range(const Token& token) {
    return {static_cast<int>(token.start), static_cast<int>(token.stop)};
  }

  // errors; all return null so that `return fail(…)` reads well
  std::nullptr_t fail(PositionRange position, std::string message);
  // The same, unless the next token could not even be read: that is then the error (an LALR parser looks one token
  // ahead here).
  std::nullptr_t fail_unless_lexing(PositionRange position, std::string message);
  std::nullptr_t unexpected(std::string_view context, std::string_view expected);
  std::nullptr_t unexpected_here() { return unexpected(aggregation_depth_ > 0 ? "aggregation" : "", ""); }
  bool enter();
  void leave() { --nesting_; }
  // Remembers how deep the tree below the node just made is.
  bool deepen(int below, PositionRange position);

  // parser.cpp: operators and operands
  ExprPtr parse_expression(int minimum);
  ExprPtr parse_operand();
  ExprPtr parse_postfix(ExprPtr expr);
  ExprPtr parse_primary();
  ExprPtr parse_unary();
  ExprPtr parse_paren();
  ExprPtr parse_number();
  ExprPtr parse_string();
  ExprPtr parse_call();
  bool starts_expression() const;
  bool parse_call_arguments(std::vector<ExprPtr>& args);
  ExprPtr parse_aggregate();
  ExprPtr finish_aggregate(const Token& op, std::vector<std::string> grouping, bool without, std::vector<ExprPtr> args,
                           bool modified);
  bool parse_grouping(std::vector<std::string>& labels);
  bool parse_binary_modifiers(BinaryExpr& binary);
  bool parse_fill(std::optional<double>& left, std::optional<double>& right);
  ExprPtr finish_binary(std::unique_ptr<BinaryExpr> binary, ExprPtr lhs, ExprPtr rhs, int lhs_depth, int rhs_depth);

  // parser_selector.cpp: selectors and what may follow them
  std::unique_ptr<VectorSelector> parse_selector();
  bool parse_matchers(VectorSelector& selector);
  bool parse_matcher(std::vector<Matcher>& matchers);
  ExprPtr parse_brackets(ExprPtr expr);
  ExprPtr finish_matrix(ExprPtr expr, const Token& open, Duration span, std::unique_ptr<DurationExpr> span_expr);
  ExprPtr parse_offset(ExprPtr expr);
  ExprPtr parse_at(ExprPtr expr);
  ExprPtr parse_extended(ExprPtr expr);

  // parser_duration.cpp
  ExprPtr parse_duration_expression(int minimum);
  ExprPtr parse_duration_operand();
  ExprPtr parse_duration_literal();
  ExprPtr parse_duration_function(bool check_feature = true);
  ExprPtr parse_offset_value();
  ExprPtr parse_offset_sign();
  ExprPtr duration_operation(const Token& op, ExprPtr lhs, ExprPtr rhs);
  ExprPtr negate_duration(const Token& op, ExprPtr expr, bool wrapped);
  ExprPtr wrap_duration(ExprPtr expr, PositionRange position);
  bool duration_expressions_on(PositionRange position);
  // `[` … value, > 0: a fixed duration or an expression.
  bool parse_positive(Duration& fixed, std::unique_ptr<DurationExpr>& expr, std::string_view context,
                      std::string_view expected);
  static bool split_duration(ExprPtr value, Duration& fixed, std::unique_ptr<DurationExpr>& expr);

  // parser_literal.cpp
  bool number_value(const Token& token, double& value);  // number or duration token, seconds
  bool string_value(const Token& token, std::string& value);

  // parser_check.cpp: types, once the syntax is right
  bool check(Expr& expr);
  bool check_aggregate(AggregateExpr& expr);
  bool check_binary(BinaryExpr& expr);
  bool check_matching(BinaryExpr& expr, ValueType left, ValueType right, PositionRange op_range);
  bool check_call(Call& expr);
  bool check_info_selector(Call& call);
  bool check_selector(VectorSelector& expr);
  bool expect(Expr& expr, ValueType wanted, std::string_view context);
  PositionRange operator_range(const BinaryExpr& expr) const;

  std::string_view input_;
  const ParserOptions& options_;
  TokenStream stream_;
  std::size_t at_ = 0;
  int last_closing_ = 0;  // end of the last ) ] } number or duration that was taken
  int nesting_ = 0;
  int depth_ = 0;              // of the expression parsed last
  int aggregation_depth_ = 0;  // errors inside an aggregation's arguments say so
  bool failed_ = false;
  ParseError error_;
};

// "1h30m" in milliseconds, with the messages of Prometheus' own parser.
Result<Duration> parse_duration_literal_text(std::string_view text);
// Go's strconv.ParseInt(text, 0, 64), then ParseFloat.
Result<double> parse_number_text(std::string_view text);
// Seconds to milliseconds the way Prometheus rounds to nanoseconds first.
Duration duration_from_seconds(double seconds);
// Whether `seconds` does not fit into int64 nanoseconds.
bool duration_out_of_range(double seconds);

}  // namespace tocayo::promql::detail
