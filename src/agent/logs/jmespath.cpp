// SPDX-License-Identifier: Apache-2.0
#include "agent/logs/jmespath.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "agent/logs/jmespath_node.h"
#include "core/utf8.h"
#include "template/go_format.h"

namespace tocayo::agent {
namespace {

namespace json = boost::json;
using Kind = JmesNode::Kind;
constexpr std::size_t kMaxElements = 100'000;  // of one result: expressions must not multiply without bound

std::unexpected<Error> bad(std::string message) { return fail(ErrorKind::bad_input, std::move(message)); }

bool is_true(const json::value& value) {
  if (value.is_null()) return false;
  if (const auto* truth = value.if_bool()) return *truth;
  if (const auto* text = value.if_string()) return !text->empty();
  if (const auto* array = value.if_array()) return !array->empty();
  if (const auto* object = value.if_object()) return !object->empty();
  return true;
}

std::optional<double> number_of(const json::value& value) {
  if (!value.is_number()) return std::nullopt;
  return value.to_number<double>();
}

bool equal(const json::value& a, const json::value& b) {
  if (a.is_number() && b.is_number()) return number_of(a) == number_of(b);
  if (const auto *x = a.if_array(), *y = b.if_array(); x != nullptr && y != nullptr)
    return std::ranges::equal(*x, *y, equal);
  return a == b;
}

json::value slice_of(const json::array& array, const JmesNode& node) {
  const auto size = static_cast<std::int64_t>(array.size());
  const std::int64_t step = node.bounds[2].value_or(1);
  auto bound = [&](const std::optional<std::int64_t>& given, std::int64_t otherwise) {
    if (!given) return otherwise;
    std::int64_t at = *given;
    if (at < 0) {
      at += size;
      if (at < 0) at = step < 0 ? -1 : 0;
    } else if (at >= size) {
      at = step < 0 ? size - 1 : size;
    }
    return at;
  };
  const std::int64_t from = bound(node.bounds[0], step < 0 ? size - 1 : 0);
  const std::int64_t until = bound(node.bounds[1], step < 0 ? -1 : size);
  json::array out;
  for (std::int64_t i = from; step > 0 ? i < until : i > until; i += step) {
    out.push_back(array[static_cast<std::size_t>(i)]);
    if (std::abs(step) > size) break;
  }
  return out;
}

class Walk {
 public:
  Result<json::value> of(const JmesNode& node, const json::value& data) {
    switch (node.kind) {
      case Kind::current: return data;
      case Kind::field: {
        const auto* object = data.if_object();
        const auto* found = object == nullptr ? nullptr : object->if_contains(node.text);
        return found == nullptr ? json::value() : *found;
      }
      case Kind::index: {
        const auto* array = data.if_array();
        if (array == nullptr) return json::value();
        const auto at = node.number < 0 ? node.number + static_cast<std::int64_t>(array->size()) : node.number;
        if (at < 0 || at >= static_cast<std::int64_t>(array->size())) return json::value();
        return (*array)[static_cast<std::size_t>(at)];
      }
      case Kind::slice: {
        const auto* array = data.if_array();
        return array == nullptr ? json::value() : slice_of(*array, node);
      }
      case Kind::literal: return node.value;
      case Kind::chain: return of(*node.children[1], TRY(of(*node.children[0], data)));
      case Kind::projection:
      case Kind::values:
      case Kind::flatten:
      case Kind::filter: return project(node, data);
      case Kind::list: {
        if (data.is_null()) return json::value();
        json::array out;
        for (const auto& child : node.children) out.push_back(TRY(of(*child, data)));
        return out;
      }
      case Kind::hash: {
        if (data.is_null()) return json::value();
        json::object out;
        for (std::size_t i = 0; i < node.children.size(); ++i) out[node.names[i]] = TRY(of(*node.children[i], data));
        return out;
      }
      case Kind::any: {
        auto left = TRY(of(*node.children[0], data));
        return is_true(left) ? Result<json::value>(std::move(left)) : of(*node.children[1], data);
      }
      case Kind::both: {
        auto left = TRY(of(*node.children[0], data));
        return is_true(left) ? of(*node.children[1], data) : Result<json::value>(std::move(left));
      }
      case Kind::negation: return json::value(!is_true(TRY(of(*node.children[0], data))));
      case Kind::compare: return compare(node, data);
      case Kind::call: return call(node, data);
      case Kind::reference: return bad("an expression reference stands where a value is needed");
    }
    return json::value();
  }

 private:
  Result<> room() {
    if (++elements_ > kMaxElements) return bad("the expression makes too many elements");
    return {};
  }

  Result<json::value> project(const JmesNode& node, const json::value& data) {
    auto base = TRY(of(*node.children[0], data));
    json::array elements;
    if (node.kind == Kind::values) {
      const auto* object = base.if_object();
      if (object == nullptr) return json::value();
      for (const auto& member : *object) elements.push_back(member.value());
    } else {
      const auto* array = base.if_array();
      if (array == nullptr) return json::value();
      for (const auto& element : *array) {
        const auto* inner = node.kind == Kind::flatten ? element.if_array() : nullptr;
        if (inner != nullptr) {
          elements.insert(elements.end(), inner->begin(), inner->end());
        } else {
          elements.push_back(element);
        }
      }
    }
    json::array out;
    for (const auto& element : elements) {
      TRY(room());
      if (node.kind == Kind::filter && !is_true(TRY(of(*node.children[2], element)))) continue;
      auto value = TRY(of(*node.children[1], element));
      if (!value.is_null()) out.push_back(std::move(value));
    }
    return out;
  }

  Result<json::value> compare(const JmesNode& node, const json::value& data) {
    const auto left = TRY(of(*node.children[0], data)), right = TRY(of(*node.children[1], data));
    if (node.text == "==") return json::value(equal(left, right));
    if (node.text == "!=") return json::value(!equal(left, right));
    const auto a = number_of(left), b = number_of(right);
    if (!a || !b) return json::value();
    if (node.text == "<") return json::value(*a < *b);
    if (node.text == "<=") return json::value(*a <= *b);
    if (node.text == ">") return json::value(*a > *b);
    return json::value(*a >= *b);
  }

  // ---- functions

  Result<json::value> call(const JmesNode& node, const json::value& data) {
    const std::string& name = node.text;
    if (name == "map" || name.ends_with("_by")) return by(node, data);
    std::vector<json::value> args;
    for (const auto& child : node.children) args.push_back(TRY(of(*child, data)));
    const json::value& first = args[0];
    auto wrong = [&] { return bad(name + "(): an argument is of the wrong type"); };
    if (name == "not_null") {
      for (const auto& value : args) {
        if (!value.is_null()) return value;
      }
      return json::value();
    }
    if (name == "type") {
      if (first.is_null()) return json::value("null");
      if (first.is_bool()) return json::value("boolean");
      if (first.is_number()) return json::value("number");
      if (first.is_string()) return json::value("string");
      return json::value(first.is_array() ? "array" : "object");
    }
    if (name == "to_string") return first.is_string() ? first : json::value(json::serialize(first));
    if (name == "to_array") return first.is_array() ? first : json::value(json::array{first});
    if (name == "to_number") {
      if (first.is_number()) return first;
      if (const auto* text = first.if_string()) {
        if (const auto number = templates::parse_float(*text)) return json::value(*number);
      }
      return json::value();
    }
    if (name == "merge") {
      json::object out;
      for (const auto& value : args) {
        if (!value.is_object()) return wrong();
        for (const auto& member : value.get_object()) out[member.key()] = member.value();
      }
      return out;
    }
    if (name == "abs" || name == "ceil" || name == "floor") {
      const auto number = number_of(first);
      if (!number) return wrong();
      return json::value(name == "abs"    ? std::fabs(*number)
                         : name == "ceil" ? std::ceil(*number)
                                          : std::floor(*number));
    }
    if (name == "length" || name == "reverse") return sized(name, first);
    if (name == "starts_with" || name == "ends_with") {
      if (!first.is_string() || !args[1].is_string()) return wrong();
      const std::string_view text = first.get_string(), part = args[1].get_string();
      return json::value(name == "starts_with" ? text.starts_with(part) : text.ends_with(part));
    }
    if (name == "contains") {
      if (const auto* array = first.if_array())
        return json::value(std::ranges::any_of(*array, [&](const auto& value) { return equal(value, args[1]); }));
      if (!first.is_string()) return wrong();
      if (!args[1].is_string()) return json::value(false);
      return json::value(std::string_view(first.get_string()).find(std::string_view(args[1].get_string())) !=
                         std::string_view::npos);
    }
    if (name == "keys" || name == "values") {
      const auto* object = first.if_object();
      if (object == nullptr) return wrong();
      json::array out;
      for (const auto& member : *object) out.push_back(name == "keys" ? json::value(member.key()) : member.value());
      return out;
    }
    if (name == "join") {
      if (!first.is_string() || !args[1].is_array()) return wrong();
      std::string out;
      for (const auto& value : args[1].get_array()) {
        if (!value.is_string()) return wrong();
        if (&value != args[1].get_array().begin()) out += std::string_view(first.get_string());
        out += std::string_view(value.get_string());
      }
      return json::value(out);
    }
    return folded(name, first);
  }

  static Result<json::value> sized(const std::string& name, const json::value& value) {
    if (const auto* text = value.if_string()) {
      std::vector<std::string_view> runes;
      for (std::string_view rest = *text; !rest.empty();) {
        const auto size = utf8::decode(rest).size;
        runes.push_back(rest.substr(0, size));
        rest.remove_prefix(size);
      }
      if (name == "length") return json::value(runes.size());
      std::string out;
      for (auto rune = runes.rbegin(); rune != runes.rend(); ++rune) out += *rune;
      return json::value(out);
    }
    if (const auto* array = value.if_array()) {
      if (name == "length") return json::value(array->size());
      return json::array(std::make_reverse_iterator(array->end()), std::make_reverse_iterator(array->begin()));
    }
    if (const auto* object = value.if_object(); object != nullptr && name == "length")
      return json::value(object->size());
    return bad(name + "(): an argument is of the wrong type");
  }

  // avg, sum, max, min, sort: over numbers, the last three also over texts.
  static Result<json::value> folded(const std::string& name, const json::value& value) {
    const auto* array = value.if_array();
    if (array == nullptr) return bad(name + "(): an argument is of the wrong type");
    const bool texts = !array->empty() && array->front().is_string() && name != "avg" && name != "sum";
    for (const auto& element : *array) {
      if (texts ? !element.is_string() : !element.is_number())
        return bad(name + "(): the elements are of the wrong type");
    }
    if (name == "avg" || name == "sum") {
      double sum = 0;
      for (const auto& element : *array) sum += *number_of(element);
      if (name == "sum") return json::value(sum);
      return array->empty() ? json::value() : json::value(sum / static_cast<double>(array->size()));
    }
    json::array sorted = *array;
    std::stable_sort(sorted.begin(), sorted.end(), less);
    if (name == "sort") return sorted;
    if (sorted.empty()) return json::value();
    return name == "max" ? sorted.back() : sorted.front();
  }

  static bool less(const json::value& a, const json::value& b) {
    if (a.is_string() && b.is_string()) return a.get_string() < b.get_string();
    return number_of(a).value_or(0) < number_of(b).value_or(0);
  }

  // map(&e, list), max_by(list, &e), min_by, sort_by.
  Result<json::value> by(const JmesNode& node, const json::value& data) {
    const bool mapping = node.text == "map";
    const JmesNode& reference = *node.children[mapping ? 0 : 1];
    if (reference.kind != Kind::reference) return bad(node.text + "(): an expression reference (&…) is needed");
    const auto list = TRY(of(*node.children[mapping ? 1 : 0], data));
    const auto* array = list.if_array();
    if (array == nullptr) return bad(node.text + "(): a list is needed");
    json::array keys;
    for (const auto& element : *array) {
      TRY(room());
      keys.push_back(TRY(of(*reference.children[0], element)));
    }
    if (mapping) return keys;
    for (const auto& key : keys) {
      if (!key.is_number() && !key.is_string()) return bad(node.text + "(): the keys are of the wrong type");
      if (key.is_string() != keys[0].is_string()) return bad(node.text + "(): the keys are of different types");
    }
    std::vector<std::size_t> order(keys.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return less(keys[a], keys[b]); });
    if (node.text == "sort_by") {
      json::array out;
      for (const auto i : order) out.push_back((*array)[i]);
      return out;
    }
    if (order.empty()) return json::value();
    return (*array)[node.text == "max_by" ? order.back() : order.front()];
  }

  std::size_t elements_ = 0;
};

// a.b.c → its names; false: it is more than that.
bool names_of(const JmesNode& node, std::vector<std::string>& names) {
  if (node.kind == Kind::field) {
    names.push_back(node.text);
    return true;
  }
  return node.kind == Kind::chain && names_of(*node.children[0], names) && names_of(*node.children[1], names);
}

}  // namespace

std::pair<int, int> jmespath_arity(std::string_view name) {
  struct Entry {
    std::string_view name;
    int least, most;
  };
  static constexpr Entry kFunctions[] = {
      {"abs", 1, 1},       {"avg", 1, 1},      {"ceil", 1, 1},      {"contains", 2, 2},  {"ends_with", 2, 2},
      {"floor", 1, 1},     {"join", 2, 2},     {"keys", 1, 1},      {"length", 1, 1},    {"map", 2, 2},
      {"max", 1, 1},       {"max_by", 2, 2},   {"merge", 1, -1},    {"min", 1, 1},       {"min_by", 2, 2},
      {"not_null", 1, -1}, {"reverse", 1, 1},  {"sort", 1, 1},      {"sort_by", 2, 2},   {"starts_with", 2, 2},
      {"sum", 1, 1},       {"to_array", 1, 1}, {"to_number", 1, 1}, {"to_string", 1, 1}, {"type", 1, 1},
      {"values", 1, 1},
  };
  for (const Entry& entry : kFunctions) {
    if (entry.name == name) return {entry.least, entry.most};
  }
  return {-1, -1};
}

Result<JmesPath> JmesPath::compile(std::string_view text) {
  if (text.size() > 4096) return bad("the expression is over 4096 bytes");
  JmesPath path(std::shared_ptr<const Node>(TRY(parse_jmespath(text))));
  if (!names_of(*path.root_, path.simple_)) path.simple_.clear();
  return path;
}

Result<json::value> JmesPath::search(const json::value& data) const { return Walk().of(*root_, data); }

}  // namespace tocayo::agent
