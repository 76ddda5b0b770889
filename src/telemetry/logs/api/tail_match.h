// SPDX-License-Identifier: Apache-2.0
// Which lines of a batch a query can match, decided for many queries together: every distinct literal is looked for
// once a batch, whoever asks for it.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "logql/syntax/ast.h"
#include "logs/querier.h"

namespace tocayo::logs::api {

// The literals of the queries of one tenant. Not thread-safe.
class LiteralSet {
 public:
  // What a query needs of a line: of each list at least one literal. None: any line may match.
  using Needs = std::vector<std::vector<std::uint32_t>>;

  // The needs of a query's leading line filters; their literals stay in the set until the same needs are removed.
  Needs add(const logql::LogExpr& log);
  void remove(const Needs& needs);
  std::size_t size() const { return ids_.size(); }

  // The lines of the following candidates(); they must live until the next begin().
  void begin(std::span<const Row> rows);
  // Numbers of the rows that meet the needs, ascending. Valid until the next call.
  std::span<const std::uint32_t> candidates(const Needs& needs);

 private:
  struct Literal {
    std::string text;
    bool fold = false;
    std::size_t users = 0;
    std::uint64_t batch = 0;          // in which `rows` was found
    std::vector<std::uint64_t> rows;  // bits
  };
  std::uint32_t intern(const std::string& text, bool fold);
  void find(Literal& literal);

  std::vector<Literal> literals_;
  std::vector<std::uint32_t> unused_;
  std::map<std::pair<std::string, bool>, std::uint32_t> ids_;
  std::uint64_t batch_ = 0;
  std::string text_;               // of all lines, back to back
  std::vector<std::size_t> ends_;  // of each line in it
  std::vector<std::uint64_t> all_, any_;
  std::vector<std::uint32_t> chosen_;
};

}  // namespace tocayo::logs::api
