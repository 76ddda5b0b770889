// SPDX-License-Identifier: Apache-2.0
#include "template/functions_for_test.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <cmath>

#include "template/go_format.h"
#include "template/go_text.h"
#include "template/go_time.h"

namespace tocayo::templates::testing {
namespace {

constexpr double kNow = 1353755652;

std::unexpected<Error> bad(std::string message) { return fail(ErrorKind::bad_input, std::move(message)); }

Result<double> number(const Value& value) {
  switch (value.kind) {
    case Kind::floating: return value.floating;
    case Kind::integer: return static_cast<double>(value.integer);
    case Kind::unsigned_integer: return static_cast<double>(value.unsigned_integer);
    case Kind::duration: return static_cast<double>(value.integer) / 1e9;
    case Kind::string: return parse_float(value.string());
    default: return bad("can't convert " + value.type_name() + " to float");
  }
}

std::string scaled(double value, const std::string& suffix) {
  std::string text = format_float(value, 'g', 4);
  return text + suffix;
}

Result<std::string> humanize(double v, bool binary) {
  if (v == 0 || std::isnan(v) || std::isinf(v)) return scaled(v, "");
  std::string prefix;
  if (binary) {
    if (std::fabs(v) <= 1) return scaled(v, "");
    for (const char* p : {"ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"}) {
      if (std::fabs(v) < 1024) break;
      prefix = p;
      v /= 1024;
    }
    return scaled(v, prefix);
  }
  if (std::fabs(v) >= 1) {
    for (const char* p : {"k", "M", "G", "T", "P", "E", "Z", "Y"}) {
      if (std::fabs(v) < 1000) break;
      prefix = p;
      v /= 1000;
    }
    return scaled(v, prefix);
  }
  for (const char* p : {"m", "u", "n", "p", "f", "a", "z", "y"}) {
    if (std::fabs(v) >= 1) break;
    prefix = p;
    v *= 1000;
  }
  return scaled(v, prefix);
}

Result<std::string> humanize_duration(double v) {
  if (std::isnan(v) || std::isinf(v)) return scaled(v, "");
  if (v == 0) return std::string("0s");
  if (std::fabs(v) >= 1) {
    const std::string sign = v < 0 ? "-" : "";
    v = std::fabs(v);
    const auto whole = static_cast<std::int64_t>(v);
    const auto s = whole % 60, m = whole / 60 % 60, h = whole / 3600 % 24, d = whole / 86400;
    if (d != 0) return fmt::format("{}{}d {}h {}m {}s", sign, d, h, m, s);
    if (h != 0) return fmt::format("{}{}h {}m {}s", sign, h, m, s);
    if (m != 0) return fmt::format("{}{}m {}s", sign, m, s);
    return sign + scaled(v, "s");
  }
  std::string prefix;
  for (const char* p : {"m", "u", "n", "p", "f", "a", "z", "y"}) {
    if (std::fabs(v) >= 1) break;
    prefix = p;
    v *= 1000;
  }
  return scaled(v, prefix + "s");
}

Result<Time> time_of(double seconds) {
  const double nanoseconds = seconds * 1e9;
  if (!(nanoseconds > -9223372036854775808.0 && nanoseconds < 9223372036854775808.0)) {
    return bad(format_float(seconds) + " cannot be represented as a nanoseconds timestamp since it overflows int64");
  }
  return time_from_ns(static_cast<std::int64_t>(nanoseconds));
}

template <typename F>
Implementation on_number(F format) {
  return [format](Call& call) -> Result<Value> { return call.make(TRY(format(TRY(number(call[0]))))); };
}

Value sample_value(const Sample& sample, Arena& arena) {
  auto* labels = arena.array<MapEntry>(sample.labels.size() + 1);
  std::size_t count = 0;
  for (const auto& [name, value] : sample.labels) labels[count++] = {name, Value::of(value)};
  auto* fields = arena.array<MapEntry>(2);
  fields[0] = {"Labels", Value::of_map({labels, count}, Type::map_string)};
  fields[1] = {"Value", Value::of(sample.value)};
  return Value::of_map({fields, 2});
}

Value label_of(const Value& sample, std::string_view name) {
  for (const MapEntry& entry : sample.entries()[0].value.entries()) {
    if (entry.key == name) return entry.value;
  }
  return Value::of(std::string_view());
}

void add_query_functions(FunctionTable& table) {
  table.add("query", {Type::string}, [](Call& call) -> Result<Value> {
    const auto& context = *static_cast<const RuleContext*>(call.user);
    auto* values = call.arena.array<Value>(context.query_result.size() + 1);
    std::size_t count = 0;
    for (const Sample& sample : context.query_result) values[count++] = sample_value(sample, call.arena);
    return Value::of_list({values, count});
  });
  table.add("first", {Type::list_any}, [](Call& call) -> Result<Value> {
    if (call[0].elements().empty()) return bad("first() called on vector with no elements");
    return call[0].elements()[0];
  });
  table.add("label", {Type::string, Type::any},
            [](Call& call) -> Result<Value> { return label_of(call[1], call.text(0)); });
  table.add("value", {Type::any}, [](Call& call) -> Result<Value> { return call[0].entries()[1].value; });
  table.add("strvalue", {Type::any}, [](Call& call) -> Result<Value> { return label_of(call[0], "__value__"); });
  table.add("sortByLabel", {Type::string, Type::list_any}, [](Call& call) -> Result<Value> {
    const auto in = call[1].elements();
    auto* sorted = call.arena.array<Value>(in.size() + 1);
    std::copy(in.begin(), in.end(), sorted);
    const std::string_view name = call.text(0);
    std::stable_sort(sorted, sorted + in.size(), [name](const Value& a, const Value& b) {
      return label_of(a, name).string() < label_of(b, name).string();
    });
    return Value::of_list({sorted, in.size()});
  });
}

Implementation regex_replace(RegexCache& cache) {
  return [&cache](Call& call) -> Result<Value> {
    const auto regex = cache.get(call.text(0));
    if (!regex) return bad(fmt::format("regexp: Compile(`{}`): {}", call.text(0), regex.error().message));
    return call.make(regex_replace_all(**regex, call.text(2), call.text(1), false));
  };
}

Implementation regex_match(RegexCache& cache) {
  return [&cache](Call& call) -> Result<Value> {
    const auto* regex = TRY(cache.get(call.text(0)));
    return Value::of(RE2::PartialMatch({call.text(1).data(), call.text(1).size()}, *regex));
  };
}

RegexCache& shared_regexes() {
  static auto* cache = new RegexCache();
  return *cache;
}

std::string strip_port(std::string_view host) {
  if (host.starts_with('[')) {
    const auto close = host.find(']');
    if (close != std::string_view::npos && close + 1 < host.size() && host[close + 1] == ':' &&
        host.find(':', close + 2) == std::string_view::npos) {
      return std::string(host.substr(1, close - 1));
    }
    return std::string(host);
  }
  const auto colon = host.find(':');
  if (colon == std::string_view::npos || host.find(':', colon + 1) != std::string_view::npos) return std::string(host);
  return std::string(host.substr(0, colon));
}

std::string strip_domain(std::string_view host_port) {
  std::string host = strip_port(host_port);
  const std::string port =
      host.size() < host_port.size() && !host_port.starts_with('[') ? std::string(host_port.substr(host.size())) : "";
  const bool address = host.find(':') != std::string::npos || host_port.starts_with('[') ||
                       host.find_first_not_of("0123456789.") == std::string::npos;
  if (address) return std::string(host_port);
  return host.substr(0, host.find('.')) + port;
}

}  // namespace

std::shared_ptr<const FunctionTable> rule_function_table() {
  auto table = std::make_shared<FunctionTable>();
  add_query_functions(*table);
  table->add("humanize", {Type::any}, on_number([](double v) { return humanize(v, false); }));
  table->add("humanize1024", {Type::any}, on_number([](double v) { return humanize(v, true); }));
  table->add("humanizeDuration", {Type::any}, on_number(humanize_duration));
  table->add("humanizePercentage", {Type::any},
             on_number([](double v) -> Result<std::string> { return scaled(v * 100, "%"); }));
  table->add("humanizeTimestamp", {Type::any}, on_number([](double v) -> Result<std::string> {
               if (std::isnan(v) || std::isinf(v)) return scaled(v, "");
               return format_time(TRY(time_of(v)));
             }));
  table->add("toTime", {Type::any}, [](Call& call) -> Result<Value> {
    return Value::of(call.arena.make<Time>(TRY(time_of(TRY(number(call[0]))))));
  });
  table->add("toDuration", {Type::any}, [](Call& call) -> Result<Value> {
    return Value::of_duration(static_cast<std::int64_t>(TRY(number(call[0])) * 1e9));
  });
  table->add("now", {}, [](Call&) -> Result<Value> { return Value::of(kNow); });
  table->add("parseDuration", {Type::string}, [](Call& call) -> Result<Value> {
    return Value::of(static_cast<double>(TRY(parse_duration_go(call.text(0)))) / 1e9);
  });
  table->add("title", {Type::string}, [](Call& call) -> Result<Value> { return call.make(to_title(call.text(0))); });
  table->add("toUpper", {Type::string}, [](Call& call) -> Result<Value> { return call.make(to_upper(call.text(0))); });
  table->add("toLower", {Type::string}, [](Call& call) -> Result<Value> { return call.make(to_lower(call.text(0))); });
  table->add("match", {Type::string, Type::string}, regex_match(shared_regexes()));
  table->add("reReplaceAll", {Type::string, Type::string, Type::string}, regex_replace(shared_regexes()));
  table->add("stripPort", {Type::string},
             [](Call& call) -> Result<Value> { return call.make(strip_port(call.text(0))); });
  table->add("stripDomain", {Type::string},
             [](Call& call) -> Result<Value> { return call.make(strip_domain(call.text(0))); });
  table->add("urlQueryEscape", {Type::string}, [](Call& call) -> Result<Value> {
    std::string out;
    query_escape(out, call.text(0));
    return call.make(out);
  });
  table->add("safeHtml", {Type::string},
             [](Call& call) -> Result<Value> { return Value::of(call.text(0), Type::safe_html); });
  table->add("externalURL", {}, [](Call&) -> Result<Value> { return Value::of("http://testhost:9090/path/prefix"); });
  table->add("pathPrefix", {}, [](Call&) -> Result<Value> { return Value::of("/path/prefix"); });
  const auto link = [](std::string_view tab) {
    return [tab](Call& call) -> Result<Value> {
      std::string query;
      query_escape(query, call.text(0));
      return call.make(fmt::format("/graph?g0.expr={}&g0.tab={}", query, tab));
    };
  };
  table->add("graphLink", {Type::string}, link("0"));
  table->add("tableLink", {Type::string}, link("1"));
  table->add_variadic("args", {Type::any}, [](Call& call) -> Result<Value> {
    auto* entries = call.arena.array<MapEntry>(call.arguments.size() + 1);
    for (std::size_t i = 0; i < call.arguments.size(); ++i) {
      entries[i] = {call.arena.copy(fmt::format("arg{}", i)), call[i]};
    }
    return Value::of_map({entries, call.arguments.size()});
  });
  table->add("tmpl", {Type::string, Type::any}, [](Call& call) -> Result<Value> {
    std::string out;
    TRY(call.running.execute(call.text(0), call[1], out, call.scratch, call.user));
    return call.make(out, Type::safe_html);
  });
  return table;
}

std::shared_ptr<const FunctionTable> notification_function_table() {
  auto table = std::make_shared<FunctionTable>();
  table->add("toUpper", {Type::string}, [](Call& call) -> Result<Value> { return call.make(to_upper(call.text(0))); });
  table->add("toLower", {Type::string}, [](Call& call) -> Result<Value> { return call.make(to_lower(call.text(0))); });
  table->add("title", {Type::string},
             [](Call& call) -> Result<Value> { return call.make(to_title(to_lower(call.text(0)))); });
  table->add("trimSpace", {Type::string},
             [](Call& call) -> Result<Value> { return Value::of(trim_space(call.text(0))); });
  table->add("join", {Type::string, Type::list_string}, [](Call& call) -> Result<Value> {
    std::string out;
    for (const Value& item : call[1].elements()) {
      if (!out.empty()) out += call.text(0);
      out += item.string();
    }
    return call.make(out);
  });
  table->add("match", {Type::string, Type::string}, regex_match(shared_regexes()));
  table->add("reReplaceAll", {Type::string, Type::string, Type::string}, regex_replace(shared_regexes()));
  table->add("safeHtml", {Type::string},
             [](Call& call) -> Result<Value> { return Value::of(call.text(0), Type::safe_html); });
  table->add("safeUrl", {Type::string},
             [](Call& call) -> Result<Value> { return Value::of(call.text(0), Type::safe_url); });
  table->add("urlUnescape", {Type::string},
             [](Call& call) -> Result<Value> { return call.make(TRY(query_unescape(call.text(0)))); });
  const auto as_list = [](Call& call, Type type) {
    auto* values = call.arena.array<Value>(call.arguments.size() + 1);
    std::copy(call.arguments.begin(), call.arguments.end(), values);
    return Value::of_list({values, call.arguments.size()}, type);
  };
  table->add_variadic("stringSlice", {Type::string},
                      [as_list](Call& call) -> Result<Value> { return as_list(call, Type::list_string); });
  table->add_variadic("list", {Type::any},
                      [as_list](Call& call) -> Result<Value> { return as_list(call, Type::list_any); });
  table->add_variadic("append", {Type::list_any, Type::any}, [](Call& call) -> Result<Value> {
    const auto old = call[0].elements();
    const auto more = call.arguments.subspan(1);
    auto* values = call.arena.array<Value>(old.size() + more.size() + 1);
    std::copy(old.begin(), old.end(), values);
    std::copy(more.begin(), more.end(), values + old.size());
    return Value::of_list({values, old.size() + more.size()});
  });
  table->add_variadic("dict", {Type::any}, [](Call& call) -> Result<Value> {
    if (call.arguments.size() % 2 != 0) return bad("dict requires an even number of arguments");
    const std::size_t count = call.arguments.size() / 2;
    auto* entries = call.arena.array<MapEntry>(count + 1);
    for (std::size_t i = 0; i < count; ++i) entries[i] = {call.text(2 * i), call[2 * i + 1]};
    std::sort(entries, entries + count, [](const MapEntry& a, const MapEntry& b) { return a.key < b.key; });
    return Value::of_map({entries, count});
  });
  table->add("toJson", {Type::any}, [](Call& call) -> Result<Value> {
    std::string out;
    append_json(out, call[0], call.arena);
    return call.make(out);
  });
  table->add("base64encode", {Type::string},
             [](Call& call) -> Result<Value> { return call.make(base64_encode(call.text(0), true)); });
  table->add("base64decode", {Type::string},
             [](Call& call) -> Result<Value> { return call.make(TRY(base64_decode(call.text(0), true))); });
  table->add("tz", {Type::string, Type::time}, [](Call& call) -> Result<Value> {
    Time time = *call[1].time;
    time.zone = TRY(Zone::load(call.text(0)));
    return Value::of(call.arena.make<Time>(time));
  });
  table->add("date", {Type::string, Type::time},
             [](Call& call) -> Result<Value> { return call.make(format_time(*call[1].time, call.text(0))); });
  table->add("toDate", {Type::string, Type::string}, [](Call& call) -> Result<Value> {
    const auto time = parse_time(call.text(0), call.text(1), nullptr);
    return Value::of(call.arena.make<Time>(time ? *time : Time{kZeroTimeSeconds, 0, nullptr}));
  });
  return table;
}

std::vector<std::pair<std::string, std::string>> KeyValues::sorted() const {
  std::vector<std::pair<std::string, std::string>> pairs(values_.begin(), values_.end());
  std::stable_partition(pairs.begin(), pairs.end(), [](const auto& pair) { return pair.first == "alertname"; });
  return pairs;
}

bool KeyValues::get(std::string_view name, Arena& arena, Value& out) const {
  const auto found = values_.find(std::string(name));
  if (found == values_.end()) return false;
  out = Value::of(arena.copy(found->second));
  return true;
}

bool KeyValues::has_method(std::string_view name) const {
  return name == "SortedPairs" || name == "Names" || name == "Values" || name == "Remove" || name == "String";
}

bool KeyValues::print(std::string& out) const {
  for (const auto& [name, value] : sorted()) {
    if (!out.empty()) out += ", ";
    out += name + "=" + value;
  }
  return true;
}

std::span<const MapEntry> KeyValues::entries(Arena& arena) const {
  auto* all = arena.array<MapEntry>(values_.size() + 1);
  std::size_t count = 0;
  for (const auto& [name, value] : values_) all[count++] = {name, Value::of(value)};
  return {all, count};
}

namespace {

// Lists of texts with the method Join, and of pairs with Names and Values.
class TextList : public Object {
 public:
  std::string_view type_name() const override { return "[]string"; }
  bool is_list() const override { return true; }
  bool get(std::string_view, Arena&, Value&) const override { return false; }
  std::span<const Value> elements(Arena&) const override { return values; }
  bool has_method(std::string_view name) const override { return name == "Join"; }
  Result<Value> call(std::string_view, Call& call) const override {
    std::string out;
    for (const Value& value : values) {
      if (!out.empty()) out += call.text(0);
      out += value.string();
    }
    return call.make(out);
  }
  std::vector<Value> values;
};

class Pairs : public Object {
 public:
  explicit Pairs(std::vector<std::pair<std::string, std::string>> in) : pairs(std::move(in)) {}
  std::string_view type_name() const override { return "template.Pairs"; }
  bool is_list() const override { return true; }
  bool get(std::string_view, Arena&, Value&) const override { return false; }
  bool has_method(std::string_view name) const override { return name == "Names" || name == "Values"; }
  Result<Value> call(std::string_view method, Call& call) const override {
    auto* values = call.arena.array<Value>(pairs.size() + 1);
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      values[i] = Value::of(call.arena.copy(method == "Names" ? pairs[i].first : pairs[i].second));
    }
    return Value::of_list({values, pairs.size()}, Type::list_string);
  }
  bool print(std::string& out) const override {
    for (const auto& [name, value] : pairs) {
      if (!out.empty()) out += ", ";
      out += name + "=" + value;
    }
    return true;
  }
  std::vector<std::pair<std::string, std::string>> pairs;
};

// Objects made during an execution live until the end of the test program.
template <typename T>
T& kept(std::unique_ptr<T> object) {
  static auto* all = new std::vector<std::unique_ptr<T>>();
  all->push_back(std::move(object));
  return *all->back();
}

}  // namespace

Result<Value> KeyValues::call(std::string_view method, Call& call) const {
  if (method == "SortedPairs") return Value::of(kept(std::make_unique<Pairs>(sorted())));
  if (method == "String") {
    std::string out;
    print(out);
    return call.make(out);
  }
  if (method == "Remove") {
    auto left = values_;
    Arena arena;
    const auto names = call[0].kind == Kind::object ? call[0].object->elements(arena) : call[0].elements();
    for (const Value& name : names) left.erase(std::string(name.string()));
    return Value::of(kept(std::make_unique<KeyValues>(std::move(left))));
  }
  const auto pairs = sorted();
  if (method == "Names") {
    auto list = std::make_unique<TextList>();
    for (const auto& pair : pairs) list->values.push_back(Value::of(call.arena.copy(pair.first)));
    return Value::of(kept(std::move(list)));
  }
  auto* values = call.arena.array<Value>(pairs.size() + 1);
  for (std::size_t i = 0; i < pairs.size(); ++i) values[i] = Value::of(call.arena.copy(pairs[i].second));
  return Value::of_list({values, pairs.size()}, Type::list_string);
}

bool Record::get(std::string_view name, Arena&, Value& out) const {
  for (const auto& [field, value] : fields) {
    if (field == name) {
      out = value;
      return true;
    }
  }
  return false;
}

std::span<const MapEntry> Record::entries(Arena& arena) const {
  auto* all = arena.array<MapEntry>(fields.size() + 1);
  for (std::size_t i = 0; i < fields.size(); ++i) all[i] = {json_names[i].second, fields[i].second};
  return {all, fields.size()};
}

Result<Value> Alerts::call(std::string_view method, Call& call) const {
  auto* values = call.arena.array<Value>(alerts.size() + 1);
  std::size_t count = 0;
  for (const Value& alert : alerts) {
    Value status;
    alert.object->get("Status", call.arena, status);
    if (status.string() == (method == "Firing" ? "firing" : "resolved")) values[count++] = alert;
  }
  return Value::of_list({values, count});
}

}  // namespace tocayo::templates::testing
