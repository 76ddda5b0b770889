// SPDX-License-Identifier: Apache-2.0
// The parsers that make labels of a line. Each processor has its own; they remember the keys they have seen, in the
// order in which they came, so that a known key costs one comparison.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/error.h"
#include "logql/pipeline/label_state.h"
#include "logql/syntax/ast.h"
#include "template/value.h"

namespace re2 {
class RE2;
}

namespace tocayo::logql {

inline constexpr std::string_view kJsonError = "JSONParserErr";
inline constexpr std::string_view kLogfmtError = "LogfmtParserErr";

// What a parser may leave out, and how it tells that a row is lost. One per processor.
class Expectation {
 public:
  virtual ~Expectation() = default;
  bool no_labels = false;              // nobody sees what a parser would extract
  std::vector<std::string> required;   // if not empty: only these
  std::size_t required_in_stream = 0;  // how many of them no parser can find in rows of this stream
  // A filter that directly follows parser `parser` is sure to fail with this value.
  virtual bool fails(const Name& name, std::string_view value, std::size_t parser) const = 0;

  bool all_found(const LabelState& labels) const {
    return !required.empty() && labels.required_found() > 0 &&
           labels.required_found() + required_in_stream >= required.size();
  }
  bool wants_prefix(std::string_view prefix) const;
};

struct ParserContext {
  LabelState& labels;
  templates::Arena& arena;
  const Expectation& expect;
  std::size_t parser = 0;  // place of the stage
};

// Raw key → what becomes of it.
struct KeyNode {
  std::string raw;
  std::string path;      // sanitised, with the names of the objects around it
  Name* name = nullptr;  // null: no label (an empty name)
  bool prefix_wanted = true;
  KeyNode* next_seen = nullptr;    // the key that followed last time
  KeyNode* first_child = nullptr;  // the first key of the object last time
  std::unordered_map<std::string_view, std::unique_ptr<KeyNode>> children;
};

class KeyTree {
 public:
  KeyNode& root() { return root_; }
  // The node of `raw` in `parent`; `previous` is the key before it (null at the start).
  KeyNode& find(KeyNode& parent, KeyNode* previous, std::string_view raw, ParserContext& context);
  // Between rows: forgets when there are too many.
  void limit();
  void clear();

 private:
  KeyNode root_;
  std::size_t size_ = 0;
};

class JsonParser {
 public:
  // false: the row is lost to a following filter.
  bool run(std::string_view line, ParserContext& context);

 private:
  enum class Outcome : unsigned char { ok, stop, drop, error };
  Outcome object(KeyNode& node, unsigned depth, ParserContext& context);
  Outcome member(KeyNode& key, unsigned depth, ParserContext& context);
  Outcome store(KeyNode& key, std::string_view value, unsigned depth, ParserContext& context);
  Outcome scalar(KeyNode& key, unsigned depth, ParserContext& context);
  Outcome nested(KeyNode& key, unsigned depth, ParserContext& context);
  Outcome fail(std::string_view why) {
    why_ = why;
    return Outcome::error;
  }
  bool skip_space();

  KeyTree keys_;
  const char* at_ = nullptr;
  const char* end_ = nullptr;
  std::string_view why_;
  bool nested_drop_ = false;
};

// `json name="path"`.
class JsonPaths {
 public:
  struct Part {
    std::string key;
    std::int64_t index = -1;  // ≥ 0: an element of an array
  };
  struct Path {
    std::string name;
    std::vector<Part> parts;
  };
  // bad_input: `cannot parse expression […]: …`.
  static Result<std::vector<Path>> compile(std::span<const Extraction> extractions);

  JsonPaths(std::span<const Path> paths, NameTable& names);
  void run(std::string_view line, ParserContext& context);

 private:
  bool value(std::uint64_t mask, std::size_t level, ParserContext& context, unsigned depth);
  bool members(std::uint64_t mask, std::size_t level, ParserContext& context, unsigned depth);
  bool elements(std::uint64_t mask, std::size_t level, ParserContext& context, unsigned depth);
  bool emit(std::uint64_t mask, ParserContext& context);

  std::span<const Path> paths_;  // of the group being searched, at most 64
  std::span<const Path> all_;
  std::vector<Name*> names_;
  std::size_t first_ = 0;
  std::uint64_t found_ = 0;
  const char* at_ = nullptr;
  const char* end_ = nullptr;
};

// One pair after another of a logfmt line.
class LogfmtDecoder {
 public:
  explicit LogfmtDecoder(templates::Arena& arena) : arena_(arena) {}
  void reset(std::string_view line) {
    line_ = line;
    at_ = 0;
    message_.clear();
    failed_ = false;
  }
  bool end() const { return at_ >= line_.size(); }
  // false: no pair (the end, or damage that was skipped).
  bool next();
  std::string_view key() const { return key_; }
  std::string_view value() const { return value_; }
  bool failed() const { return failed_; }
  const std::string& message() const { return message_; }

 private:
  bool skip_value();
  bool bad(std::string_view what);
  bool unexpected(char c);
  bool quoted_value();
  bool end_key(std::size_t start, bool multibyte);

  templates::Arena& arena_;
  std::string_view line_;
  std::size_t at_ = 0;
  std::string_view key_;
  std::string_view value_;
  std::string message_;
  bool failed_ = false;
};

class LogfmtParser {
 public:
  LogfmtParser(bool strict, bool keep_empty) : strict_(strict), keep_empty_(keep_empty) {}
  bool run(std::string_view line, ParserContext& context);

 private:
  bool strict_;
  bool keep_empty_;
  KeyTree keys_;
};

class LogfmtPaths {
 public:
  struct Path {
    std::string name;
    std::string key;  // sanitised
  };
  // bad_input: `cannot parse expression […]: …`.
  static Result<std::vector<Path>> compile(std::span<const Extraction> extractions);
  LogfmtPaths(std::span<const Path> paths, bool strict, NameTable& names);
  void run(std::string_view line, ParserContext& context);

 private:
  struct Wanted {
    std::string key;
    Name* name;
  };
  std::vector<Wanted> wanted_;
  bool strict_;
  KeyTree keys_;
};

// `<ip> - <user> <_>`.
class LinePattern {
 public:
  struct Node {
    bool capture = false;
    std::string text;  // of a literal, or the name; "_" is not kept
  };
  // bad_input with Loki's words.
  static Result<LinePattern> compile(std::string_view text);
  std::span<const Node> nodes() const { return nodes_; }

 private:
  std::vector<Node> nodes_;
};

class PatternParser {
 public:
  PatternParser(const LinePattern& pattern, NameTable& names);
  bool run(std::string_view line, ParserContext& context);

 private:
  const LinePattern& pattern_;
  std::vector<Name*> names_;  // one a node; null for literals and <_>
};

class RegexpParser {
 public:
  struct Program {
    std::shared_ptr<const re2::RE2> regex;
    std::vector<std::string> names;  // by group from 1; "" = not kept
  };
  static Result<Program> compile(std::string_view regex);
  RegexpParser(const Program& program, NameTable& names);
  bool run(std::string_view line, ParserContext& context);

 private:
  const Program& program_;
  std::vector<Name*> names_;
};

// Replaces the line by the member `_entry` and makes labels of the other strings. `line` is changed in place.
class UnpackParser {
 public:
  bool run(std::string_view& line, ParserContext& context);

 private:
  struct Pair {
    Name* name;
    std::string_view value;
  };
  KeyTree keys_;
  std::vector<Pair> pairs_;
};

}  // namespace tocayo::logql
