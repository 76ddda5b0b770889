// SPDX-License-Identifier: Apache-2.0
#include "logql/engine/fields.h"

#include <simdjson.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <map>
#include <set>
#include <unordered_map>

#include "core/hash.h"
#include "logql/pipeline/pipeline.h"
#include "logql/syntax/lexer.h"
#include "logql/syntax/literals.h"
#include "logql/syntax/parser.h"

namespace tocayo::logql {

namespace {

enum class Type : unsigned char { unknown, integer, floating, boolean, duration, bytes, text };

std::string_view name_of(Type type) {
  switch (type) {
    case Type::integer: return "int";
    case Type::floating: return "float";
    case Type::boolean: return "boolean";
    case Type::duration: return "duration";
    case Type::bytes: return "bytes";
    default: return "string";
  }
}

Type type_of(std::string_view value) {
  std::int64_t integer = 0;
  std::string_view digits = value;
  if (digits.starts_with('+')) digits.remove_prefix(1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), integer);
  if (error == std::errc() && end == digits.data() + digits.size()) return Type::integer;
  if (parse_go_float(value)) return Type::floating;
  for (std::string_view word : {"t", "T", "TRUE", "true", "True", "f", "F", "FALSE", "false", "False"}) {
    if (value == word) return Type::boolean;
  }
  if (parse_go_duration(value)) return Type::duration;
  if (parse_human_bytes(value)) return Type::bytes;
  return Type::text;
}

// The type that both have.
Type common(Type a, Type b) {
  if (a == b || b == Type::unknown) return a;
  if (a == Type::unknown) return b;
  if ((a == Type::integer && b == Type::floating) || (a == Type::floating && b == Type::integer)) return Type::floating;
  return Type::text;
}

bool is_hex(std::string_view text) {
  return std::ranges::all_of(text, [](unsigned char c) { return std::isxdigit(c) != 0; });
}

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (std::size_t at : {8U, 13U, 18U, 23U}) {
    if (text[at] != '-') return false;
  }
  return is_hex(text.substr(0, 8)) && is_hex(text.substr(9, 4)) && is_hex(text.substr(14, 4)) &&
         is_hex(text.substr(19, 4)) && is_hex(text.substr(24));
}

bool is_hash(std::string_view text) {
  return text.size() >= 16 && is_hex(text) &&
         std::ranges::any_of(text, [](unsigned char c) { return std::isdigit(c) != 0; });
}

// The label that the json parser makes of a path: parts joined and sanitised.
void append_name(std::string& name, std::string_view key) {
  if (!name.empty()) name.push_back('_');
  if (name.empty() && !key.empty() && key[0] >= '0' && key[0] <= '9') name.push_back('_');
  for (char c : key) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    if ((static_cast<unsigned char>(c) & 0xC0) == 0x80) continue;  // the rest of a character
    name.push_back(plain ? c : '_');
  }
}

using Paths = std::unordered_map<std::string, std::vector<std::string>>;

void collect_paths(const simdjson::dom::object& object, const std::string& prefix, std::vector<std::string>& path,
                   Paths& paths) {
  if (path.size() >= 64) return;
  for (const auto& [key, value] : object) {
    std::string name = prefix;
    append_name(name, key);
    path.emplace_back(key);
    if (value.is_object()) {
      collect_paths(value.get_object().value_unsafe(), name, path, paths);
    } else {
      paths.try_emplace(std::move(name), path);
    }
    path.pop_back();
  }
}

// One parser over lines of any stream.
class LineParser {
 public:
  explicit LineParser(Stage stage) : processor_(*Pipeline::compile(std::span(&stage, 1))) {}

  // The parsed labels, or null when the line is not of this kind. Valid until the next call.
  const std::vector<Label>* parse(const LogLine& line, const Labels& stream) {
    processor_.set_stream(stream);
    if (!processor_.process(line.time, line.line, {})) return nullptr;
    current_ = processor_.labels();
    if (processor_.memory_bytes() > (8U << 20)) processor_.forget();
    return current_->error ? nullptr : &current_->parsed;
  }

 private:
  Processor processor_;
  std::shared_ptr<const LabelResult> current_;
};

}  // namespace

void DistinctCounter::add(std::string_view value) {
  const std::uint64_t hash = hash64(value);
  if (registers_.empty()) {
    const auto at = std::ranges::lower_bound(hashes_, hash);
    if (at != hashes_.end() && *at == hash) return;
    hashes_.insert(at, hash);
    if (hashes_.size() <= kExact) return;
    registers_.resize(std::size_t{1} << kBits);
    for (std::uint64_t one : std::exchange(hashes_, {})) {
      auto& slot = registers_[one >> (64 - kBits)];
      slot = std::max(slot, static_cast<std::uint8_t>(std::countl_zero((one << kBits) | 1) + 1));
    }
    return;
  }
  auto& slot = registers_[hash >> (64 - kBits)];
  slot = std::max(slot, static_cast<std::uint8_t>(std::countl_zero((hash << kBits) | 1) + 1));
}

std::uint64_t DistinctCounter::estimate() const {
  if (registers_.empty()) return hashes_.size();
  const double count = static_cast<double>(registers_.size());
  double sum = 0;
  double zeros = 0;
  for (std::uint8_t rank : registers_) {
    sum += std::ldexp(1.0, -rank);
    zeros += rank == 0 ? 1 : 0;
  }
  const double alpha = 0.7213 / (1 + 1.079 / count);
  double estimate = alpha * count * count / sum;
  if (estimate <= 2.5 * count && zeros > 0) estimate = count * std::log(count / zeros);  // few values: count the empty
  return static_cast<std::uint64_t>(std::llround(estimate));
}

struct FieldDetector::State {
  struct Field {
    Type type = Type::unknown;
    DistinctCounter values;
    std::vector<std::string> parsers;
    std::vector<std::string> json_path;
  };

  Field* field(const std::string& label) {
    const auto at = fields.find(label);
    if (at != fields.end()) return &at->second;
    if (fields.size() >= max_fields) return nullptr;
    return &fields[label];
  }

  // `paths`: of the line's JSON; null unless it was parsed as JSON.
  void add(const Label& label, std::string_view parser, const Paths* paths) {
    if (label.name == kErrorLabel || label.name == kErrorDetailsLabel) return;
    Field* one = field(label.name);
    if (one == nullptr) return;
    one->type = common(one->type, type_of(label.value));
    one->values.add(label.value);
    if (!parser.empty() && std::ranges::find(one->parsers, parser) == one->parsers.end()) {
      one->parsers.emplace_back(parser);
    }
    if (paths == nullptr) return;
    std::string name = label.name;
    auto at = paths->find(name);
    if (at == paths->end() && name.ends_with("_extracted")) {
      name.resize(name.size() - std::string_view("_extracted").size());
      at = paths->find(name);
    }
    if (at != paths->end()) one->json_path = at->second;
  }

  std::size_t max_fields = 0;
  std::map<std::string, Field> fields;
  LineParser json{Stage{{}, JsonStage{}}};
  LineParser logfmt{Stage{{}, LogfmtStage{}}};
  simdjson::dom::parser dom;
};

FieldDetector::FieldDetector(std::size_t max_fields) : state_(std::make_unique<State>()) {
  state_->max_fields = max_fields;
}
FieldDetector::~FieldDetector() = default;

void FieldDetector::add(const LogLine& line) {
  for (const Label& label : line.labels->metadata) state_->add(label, {}, nullptr);
  for (const Label& label : line.labels->parsed) state_->add(label, {}, nullptr);
  const Labels stream(line.labels->stream);
  if (const auto* parsed = state_->json.parse(line, stream)) {
    Paths paths;
    std::vector<std::string> path;
    simdjson::dom::object object;
    if (state_->dom.parse(line.line).get_object().get(object) == simdjson::SUCCESS) {
      collect_paths(object, {}, path, paths);
    }
    for (const Label& label : *parsed) state_->add(label, "json", &paths);
  } else if (const auto* pairs = state_->logfmt.parse(line, stream)) {
    for (const Label& label : *pairs) state_->add(label, "logfmt", nullptr);
  }
}

std::vector<DetectedField> FieldDetector::fields() const {
  std::vector<DetectedField> out;
  for (const auto& [label, field] : state_->fields) {
    out.push_back({label, std::string(name_of(field.type)), field.values.estimate(), field.parsers, field.json_path});
  }
  return out;
}

namespace {

Result<LogValue> newest_lines(const Engine& engine, const logs::Querier& querier, const FieldQuery& query,
                              const QueryOptions& options, const Context& context) {
  const Expr expr = TRY(parse(query.query));
  if (!expr.is_log()) return fail(ErrorKind::bad_input, "only log selector is supported");
  QueryParams params;
  params.start = query.start;
  params.end = query.end;
  params.limit = query.line_limit;
  auto result = TRY(engine.query(querier, expr, params, options, context));
  return std::get<LogValue>(std::move(result.value));
}

std::string without_spaces_of_size(const std::string& value) {
  const bool has_unit = !value.empty() && std::isalpha(static_cast<unsigned char>(value.back())) != 0;
  if (!has_unit || !value.contains(' ') || !parse_human_bytes(value)) return value;
  std::string out = value;
  std::erase(out, ' ');
  return out;
}

}  // namespace

Result<std::vector<DetectedField>> detect_fields(const Engine& engine, const logs::Querier& querier,
                                                 const FieldQuery& query, const QueryOptions& options,
                                                 const Context& context) {
  const LogValue lines = TRY(newest_lines(engine, querier, query, options, context));
  FieldDetector detector(query.limit);
  for (const LogLine& line : lines.lines) detector.add(line);
  return detector.fields();
}

Result<std::vector<std::string>> detect_field_values(const Engine& engine, const logs::Querier& querier,
                                                     const FieldQuery& query, const std::string& field,
                                                     const QueryOptions& options, const Context& context) {
  const LogValue lines = TRY(newest_lines(engine, querier, query, options, context));
  LineParser json{Stage{{}, JsonStage{}}};
  LineParser logfmt{Stage{{}, LogfmtStage{}}};
  std::set<std::string> values;
  const auto collect = [&](const std::vector<Label>& labels) {
    for (const Label& label : labels) {
      if (label.name == field) values.insert(without_spaces_of_size(label.value));
    }
  };
  for (const LogLine& line : lines.lines) {
    if (values.size() >= query.limit) break;
    collect(line.labels->metadata);
    collect(line.labels->parsed);
    const Labels stream(line.labels->stream);
    if (const auto* members = json.parse(line, stream)) {
      collect(*members);
    } else if (const auto* pairs = logfmt.parse(line, stream)) {
      collect(*pairs);
    }
  }
  std::vector<std::string> out(values.begin(), values.end());
  if (out.size() > query.limit) out.resize(query.limit);
  return out;
}

Result<std::vector<DetectedLabel>> detect_labels(const logs::Querier& querier, const std::vector<Matcher>& matchers,
                                                 TimestampNs start, TimestampNs end, const Context& context) {
  std::vector<std::vector<Matcher>> sets;
  if (!matchers.empty()) sets.push_back(matchers);
  struct Seen {
    DistinctCounter values;
    bool only_ids = true;
  };
  std::map<std::string, Seen> labels;
  for (const Labels& stream : TRY(querier.series(sets, start, end, context))) {
    for (const Label& label : stream) {
      Seen& seen = labels[label.name];
      seen.values.add(label.value);
      seen.only_ids =
          seen.only_ids && (parse_go_float(label.value).has_value() || is_uuid(label.value) || is_hash(label.value));
    }
  }
  std::vector<DetectedLabel> out;
  for (const auto& [name, seen] : labels) {
    const bool always = name == "cluster" || name == "namespace" || name == "instance" || name == "pod";
    if (always || !seen.only_ids) out.push_back({name, seen.values.estimate()});
  }
  return out;
}

}  // namespace tocayo::logql
