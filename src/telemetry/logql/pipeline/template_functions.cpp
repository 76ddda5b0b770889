// SPDX-License-Identifier: Apache-2.0
// Functions that work on text, time and JSON; numbers are in template_numbers.cpp.
#include "logql/pipeline/template_functions.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <chrono>

#include "core/utf8.h"
#include "logql/pipeline/template_numbers.h"
#include "logql/syntax/literals.h"
#include "template/go_format.h"
#include "template/go_time.h"

namespace tocayo::logql {
namespace {

using namespace templates;

constexpr std::size_t kMaxText = 1 << 20;  // of one function's result

std::unexpected<Error> bad(std::string message) { return fail(ErrorKind::bad_input, std::move(message)); }
const FormatContext& context(const Call& call) { return *static_cast<const FormatContext*>(call.user); }
Value made(Call& call, Time time) { return Value::of(call.arena.make<Time>(time)); }

Result<std::string> repeated(std::string_view text, std::int64_t count) {
  if (count < 0) return bad("strings: negative Repeat count");
  if (!text.empty() && static_cast<std::uint64_t>(count) > kMaxText / text.size()) {
    return bad(fmt::format("the result is over {} bytes", kMaxText));
  }
  std::string out;
  if (!text.empty()) {
    for (std::int64_t i = 0; i < count; ++i) out += text;
  }
  return out;
}

Result<Value> regex_replace(Call& call, bool literal) {
  const auto* regex = TRY(context(call).regexes->get(call.text(0)));
  return call.make(regex_replace_all(*regex, call.text(1), call.text(2), literal));
}

Result<Value> align(Call& call, bool left) {
  const std::int64_t count = call[0].integer;
  const std::string_view text = call.text(1);
  const auto runes = static_cast<std::int64_t>(count_runes(text));
  if (count < 0 || count == runes) return call[1];
  if (count > runes) {
    const std::string pad = TRY(repeated(" ", count - runes));
    return call.make(left ? std::string(text) + pad : pad + std::string(text));
  }
  std::size_t at = 0;
  for (std::int64_t i = left ? count : runes - count; i > 0; --i) at += utf8::decode(text.substr(at)).size;
  return Value::of(left ? text.substr(0, at) : text.substr(at));
}

Result<Value> substr(Call& call) {
  const std::int64_t start = call[0].integer;
  const std::int64_t end = call[1].integer;
  const std::string_view text = call.text(2);
  const auto size = static_cast<std::int64_t>(text.size());
  if (start < 0) {
    if (end < 0 || end > size) {
      return bad(fmt::format("runtime error: slice bounds out of range [:{}] with length {}", end, size));
    }
    return Value::of(text.substr(0, static_cast<std::size_t>(end)));
  }
  const std::int64_t until = end < 0 || end > size ? size : end;
  if (start > until) {
    return bad(fmt::format("runtime error: slice bounds out of range [{}:{}]", start, until));
  }
  return Value::of(text.substr(static_cast<std::size_t>(start), static_cast<std::size_t>(until - start)));
}

Result<Value> trunc(Call& call) {
  const std::int64_t count = call[0].integer;
  const std::string_view text = call.text(1);
  const auto size = static_cast<std::int64_t>(text.size());
  if (count < 0 && size + count > 0) return Value::of(text.substr(static_cast<std::size_t>(size + count)));
  if (count >= 0 && size > count) return Value::of(text.substr(0, static_cast<std::size_t>(count)));
  return call[1];
}

Result<std::string> indented(std::int64_t spaces, std::string_view text) {
  const std::string pad = TRY(repeated(" ", spaces));
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  if (lines * pad.size() > kMaxText) return bad(fmt::format("the result is over {} bytes", kMaxText));
  return pad + replace(text, "\n", "\n" + pad);
}

Result<Value> unix_to_time(Call& call) {
  const std::string_view text = call.text(0);
  const auto number = parse_int(text);
  if (!number) return bad(fmt::format("unable to parse time '{}': {}", text, number.error().message));
  const std::int64_t n = *number;
  switch (text.size()) {
    case 5: return made(call, {n * 86400, 0, nullptr});
    case 10: return made(call, {n, 0, nullptr});
    case 13: return made(call, time_from_ns(n * 1'000'000));
    case 16: return made(call, time_from_ns(n * 1000));
    case 19: return made(call, time_from_ns(n));
    default: return bad(fmt::format("unable to parse time '{}': %!w(<nil>)", text));
  }
}

Time now() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return time_from_ns(std::chrono::duration_cast<std::chrono::nanoseconds>(since).count());
}

Result<Value> date(Call& call) {
  Time time;
  if (call[1].kind == Kind::time) {
    time = *call[1].time;
  } else if (call[1].kind == Kind::integer) {
    time = {call[1].integer, 0, nullptr};
  } else {
    time = now();
  }
  time.zone = nullptr;
  return call.make(format_time(time, call.text(0)));
}

Value parsed_time(Call& call, std::string_view layout, std::string_view text, const Zone* zone) {
  const auto time = parse_time(layout, text, zone);
  return made(call, time ? *time : Time{kZeroTimeSeconds, 0, nullptr});
}

// JSON as Go's interface{}: numbers are floats, maps sorted by key, of equal keys the last one counts.
Value from_json(simdjson::dom::element element, Arena& arena) {
  using Type = simdjson::dom::element_type;
  switch (element.type()) {
    case Type::ARRAY: {
      const auto array = simdjson::dom::array(element);
      auto* values = arena.array<Value>(array.size() + 1);
      std::size_t count = 0;
      for (const auto item : array) values[count++] = from_json(item, arena);
      return Value::of_list({values, count});
    }
    case Type::OBJECT: {
      const auto object = simdjson::dom::object(element);
      auto* entries = arena.array<MapEntry>(object.size() + 1);
      std::size_t count = 0;
      for (const auto field : object) {
        entries[count].key = arena.copy(field.key);
        entries[count++].value = from_json(field.value, arena);
      }
      std::stable_sort(entries, entries + count, [](const MapEntry& a, const MapEntry& b) { return a.key < b.key; });
      std::size_t kept = 0;
      for (std::size_t i = 0; i < count; ++i) {
        if (i + 1 < count && entries[i + 1].key == entries[i].key) continue;
        entries[kept++] = entries[i];
      }
      return Value::of_map({entries, kept});
    }
    case Type::INT64: return Value::of(static_cast<double>(std::int64_t(element)));
    case Type::UINT64: return Value::of(static_cast<double>(std::uint64_t(element)));
    case Type::DOUBLE: return Value::of(double(element));
    case Type::STRING: return Value::of(arena.copy(std::string_view(element)));
    case Type::BOOL: return Value::of(bool(element));
    case Type::NULL_VALUE: return Value::nil();
  }
  return Value::nil();
}

Result<Value> from_json_text(Call& call) {
  thread_local simdjson::dom::parser parser(16 << 20);
  simdjson::dom::element element;
  if (parser.parse(call.text(0).data(), call.text(0).size()).get(element) != simdjson::SUCCESS) return Value::nil();
  return from_json(element, call.arena);
}

// The functions of Go's strings package under their own names: the text comes first.
void add_old(FunctionTable& table) {
  const auto text2 = std::vector<Type>{Type::string, Type::string};
  table.add("ToLower", {Type::string}, [](Call& c) -> Result<Value> { return c.make(to_lower(c.text(0))); });
  table.add("ToUpper", {Type::string}, [](Call& c) -> Result<Value> { return c.make(to_upper(c.text(0))); });
  table.add("Replace", {Type::string, Type::string, Type::string, Type::integer},
            [](Call& c) -> Result<Value> { return c.make(replace(c.text(0), c.text(1), c.text(2), c[3].integer)); });
  table.add("Trim", text2,
            [](Call& c) -> Result<Value> { return Value::of(trim_right(trim_left(c.text(0), c.text(1)), c.text(1))); });
  table.add("TrimLeft", text2, [](Call& c) -> Result<Value> { return Value::of(trim_left(c.text(0), c.text(1))); });
  table.add("TrimRight", text2, [](Call& c) -> Result<Value> { return Value::of(trim_right(c.text(0), c.text(1))); });
  table.add("TrimPrefix", text2, [](Call& c) -> Result<Value> {
    const bool has = c.text(0).starts_with(c.text(1));
    return Value::of(c.text(0).substr(has ? c.text(1).size() : 0));
  });
  table.add("TrimSuffix", text2, [](Call& c) -> Result<Value> {
    const bool has = c.text(0).ends_with(c.text(1));
    return Value::of(c.text(0).substr(0, c.text(0).size() - (has ? c.text(1).size() : 0)));
  });
  table.add("TrimSpace", {Type::string}, [](Call& c) -> Result<Value> { return Value::of(trim_space(c.text(0))); });
}

// The value comes last, so that it can be piped in.
void add_text(FunctionTable& table) {
  const auto text1 = std::vector<Type>{Type::string};
  const auto text2 = std::vector<Type>{Type::string, Type::string};
  table.add("lower", text1, [](Call& c) -> Result<Value> { return c.make(to_lower(c.text(0))); });
  table.add("upper", text1, [](Call& c) -> Result<Value> { return c.make(to_upper(c.text(0))); });
  table.add("title", text1, [](Call& c) -> Result<Value> { return c.make(to_title(c.text(0))); });
  table.add("trunc", {Type::integer, Type::string}, trunc);
  table.add("substr", {Type::integer, Type::integer, Type::string}, substr);
  table.add("contains", text2,
            [](Call& c) -> Result<Value> { return Value::of(c.text(1).find(c.text(0)) != std::string_view::npos); });
  table.add("hasPrefix", text2, [](Call& c) -> Result<Value> { return Value::of(c.text(1).starts_with(c.text(0))); });
  table.add("hasSuffix", text2, [](Call& c) -> Result<Value> { return Value::of(c.text(1).ends_with(c.text(0))); });
  table.add("indent", {Type::integer, Type::string},
            [](Call& c) -> Result<Value> { return c.make(TRY(indented(c[0].integer, c.text(1)))); });
  table.add("nindent", {Type::integer, Type::string},
            [](Call& c) -> Result<Value> { return c.make("\n" + TRY(indented(c[0].integer, c.text(1)))); });
  table.add("replace", {Type::string, Type::string, Type::string},
            [](Call& c) -> Result<Value> { return c.make(replace(c.text(2), c.text(0), c.text(1))); });
  table.add("repeat", {Type::integer, Type::string},
            [](Call& c) -> Result<Value> { return c.make(TRY(repeated(c.text(1), c[0].integer))); });
  table.add("trim", text1, [](Call& c) -> Result<Value> { return Value::of(trim_space(c.text(0))); });
  table.add("trimAll", text2,
            [](Call& c) -> Result<Value> { return Value::of(trim_right(trim_left(c.text(1), c.text(0)), c.text(0))); });
  table.add("trimSuffix", text2, [](Call& c) -> Result<Value> {
    const bool has = c.text(1).ends_with(c.text(0));
    return Value::of(c.text(1).substr(0, c.text(1).size() - (has ? c.text(0).size() : 0)));
  });
  table.add("trimPrefix", text2, [](Call& c) -> Result<Value> {
    const bool has = c.text(1).starts_with(c.text(0));
    return Value::of(c.text(1).substr(has ? c.text(0).size() : 0));
  });
  table.add("alignLeft", {Type::integer, Type::string}, [](Call& c) { return align(c, true); });
  table.add("alignRight", {Type::integer, Type::string}, [](Call& c) { return align(c, false); });
  table.add("regexReplaceAll", {Type::string, Type::string, Type::string},
            [](Call& c) { return regex_replace(c, false); });
  table.add("regexReplaceAllLiteral", {Type::string, Type::string, Type::string},
            [](Call& c) { return regex_replace(c, true); });
  table.add("count", text2, [](Call& c) -> Result<Value> {
    const auto* regex = TRY(context(c).regexes->get(c.text(0)));
    return Value::of_int(static_cast<std::int64_t>(regex_count(*regex, c.text(1))));
  });
}

void add_codecs(FunctionTable& table) {
  const auto text1 = std::vector<Type>{Type::string};
  table.add("urldecode", text1, [](Call& c) -> Result<Value> { return c.make(TRY(query_unescape(c.text(0)))); });
  table.add("urlencode", text1, [](Call& c) -> Result<Value> {
    std::string out;
    query_escape(out, c.text(0));
    return c.make(out);
  });
  table.add("b64enc", text1, [](Call& c) -> Result<Value> { return c.make(base64_encode(c.text(0))); });
  table.add("b64dec", text1, [](Call& c) -> Result<Value> {
    std::string text(c.text(0));
    const std::size_t rest = text.size() % 4;
    if (rest > 1) text.append(4 - rest, '=');
    const auto decoded = base64_decode(text);
    return c.make(decoded ? *decoded : decoded.error().message);  // wrong text is told in the place of the result
  });
  table.add("fromJson", text1, from_json_text);
  table.add("bytes", text1,
            [](Call& c) -> Result<Value> { return Value::of(static_cast<double>(TRY(parse_human_bytes(c.text(0))))); });
  const auto duration = [](Call& c) -> Result<Value> {
    return Value::of(duration_seconds(TRY(parse_duration_go(c.text(0)))));
  };
  table.add("duration", text1, duration);
  table.add("duration_seconds", text1, duration);
}

void add_times(FunctionTable& table) {
  table.add("__line__", {}, [](Call& c) -> Result<Value> { return Value::of(context(c).line); });
  table.add("__timestamp__", {}, [](Call& c) -> Result<Value> { return made(c, time_from_ns(context(c).time)); });
  table.add("now", {}, [](Call& c) -> Result<Value> { return made(c, now()); });
  table.add("unixEpoch", {Type::time},
            [](Call& c) -> Result<Value> { return c.make(std::to_string(c[0].time->seconds)); });
  table.add("unixEpochMillis", {Type::time}, [](Call& c) -> Result<Value> {
    return c.make(std::to_string(c[0].time->seconds * 1000 + c[0].time->nanoseconds / 1'000'000));
  });
  table.add("unixEpochNanos", {Type::time},
            [](Call& c) -> Result<Value> { return c.make(std::to_string(unix_nanoseconds(*c[0].time))); });
  table.add("unixToTime", {Type::string}, unix_to_time);
  table.add("date", {Type::string, Type::any}, date);
  table.add("toDate", {Type::string, Type::string},
            [](Call& c) -> Result<Value> { return parsed_time(c, c.text(0), c.text(1), nullptr); });
  table.add("toDateInZone", {Type::string, Type::string, Type::string}, [](Call& c) -> Result<Value> {
    const auto zone = Zone::load(c.text(1));
    return parsed_time(c, c.text(0), c.text(2), zone ? *zone : nullptr);
  });
}

}  // namespace

const std::shared_ptr<const FunctionTable>& template_functions() {
  static const std::shared_ptr<const FunctionTable> table = [] {
    auto made = std::make_shared<FunctionTable>();
    add_old(*made);
    add_text(*made);
    add_codecs(*made);
    add_times(*made);
    add_number_functions(*made);
    return made;
  }();
  return table;
}

}  // namespace tocayo::logql
