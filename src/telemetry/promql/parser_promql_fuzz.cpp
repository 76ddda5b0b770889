// SPDX-License-Identifier: Apache-2.0
// Any bytes: the parser must refuse them or yield a tree that prints to something that is read back as the same tree.
#include <boost/json.hpp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "promql/ast_json.h"
#include "promql/parser.h"
#include "promql/parser_preprocess.h"
#include "promql/printer.h"

using namespace tocayo;
using namespace tocayo::promql;

namespace {

void require(bool condition, const char* what, const std::string& text) {
  if (condition) return;
  std::fprintf(stderr, "%s: %s\n", what, text.c_str());
  std::abort();
}

// One print may still change the tree once (a number of seconds becomes a duration); after that text and tree are
// fixed. Everything experimental is on when reading back: `offset -(1m)` needs no option, but `offset (1m)`, as `+(1m)`
// prints, does.
void check_round_trip(const Expr& expr) {
  const ParserOptions options = ParserOptions::all();
  std::string text = print(expr);
  auto again = parse_expr(text, options);
  require(again.has_value(), "printed form is not accepted", text);
  std::string second = print(**again);
  auto third = parse_expr(second, options);
  require(third.has_value() && print(**third) == second, "printed form changes", second);
  auto broken = parse_expr(pretty(expr), options);
  require(broken.has_value(), "pretty form is not accepted", pretty(expr));
  require(print(**broken) == second || print(**broken) == text, "pretty form is another expression", text);
  require(print(*clone(expr)) == text, "clone differs", text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  ParserOptions options = data[0] & 1 ? ParserOptions::all() : ParserOptions{};
  // Printing is longer than the input: leave it room.
  std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  ParseError error;
  ExprPtr expr = parse_expr(text, options, error);
  static_cast<void>(parse_metric_selector(text, options));
  static_cast<void>(parse_metric(text));
  if (!expr) {
    require(!error.message.empty(), "an error without words", std::string(text));
    static_cast<void>(error.to_string(text));
    return 0;
  }
  check_round_trip(*expr);
  static_cast<void>(boost::json::serialize(ast_to_json(*expr)));
  if (auto prepared = preprocess(std::move(expr), 1'000'000, 2'000'000, std::chrono::seconds(15))) {
    set_offsets_for_at(**prepared, 1'000'000);
    static_cast<void>(print(**prepared));
  }
  return 0;
}
