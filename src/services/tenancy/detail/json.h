// SPDX-License-Identifier: Apache-2.0
// Request bodies and answers of our own APIs. Private to the .cpp files of tenancy and events.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "http/message.h"

namespace tocayo::tenancy::json {

// A JSON object of a request body, with errors that name the field.
class Body {
 public:
  static Result<Body> parse(std::string_view text) {
    boost::system::error_code failed;
    boost::json::value value = boost::json::parse(boost::json::string_view(text.data(), text.size()), failed);
    if (failed) return fail(ErrorKind::bad_input, "the body is not JSON: " + failed.message());
    if (!value.is_object()) return fail(ErrorKind::bad_input, "the body must be a JSON object");
    return Body(std::move(value.as_object()));
  }

  bool has(std::string_view name) const { return object_.contains(key(name)); }
  // Absent (or, but for the nullable forms, null) leaves `out` alone.
  Result<> read(std::string_view name, std::string& out) const {
    const auto* value = find(name);
    if (!value) return {};
    if (!value->is_string()) return wrong(name, "a string");
    out = std::string(value->as_string());
    return {};
  }
  Result<> read(std::string_view name, bool& out) const {
    const auto* value = find(name);
    if (!value) return {};
    if (!value->is_bool()) return wrong(name, "true or false");
    out = value->as_bool();
    return {};
  }
  Result<> read(std::string_view name, std::int64_t& out) const {
    const auto* value = find(name);
    if (!value) return {};
    auto number = integer(*value);
    if (!number) return wrong(name, "a whole number");
    out = *number;
    return {};
  }
  template <typename T>
  Result<> read(std::string_view name, std::optional<T>& out) const {
    if (!find(name)) return {};
    return read(name, out.emplace());
  }
  Result<> read(std::string_view name, std::vector<std::string>& out) const {
    const auto* value = find(name);
    if (!value) return {};
    if (!value->is_array()) return wrong(name, "a list of strings");
    out.clear();
    for (const auto& item : value->as_array()) {
      if (!item.is_string()) return wrong(name, "a list of strings");
      out.emplace_back(item.as_string());
    }
    return {};
  }
  Result<> read(std::string_view name, std::vector<std::int64_t>& out) const {
    const auto* value = find(name);
    if (!value) return {};
    if (!value->is_array()) return wrong(name, "a list of numbers");
    out.clear();
    for (const auto& item : value->as_array()) {
      auto number = integer(item);
      if (!number) return wrong(name, "a list of numbers");
      out.push_back(*number);
    }
    return {};
  }
  const boost::json::object& object() const { return object_; }
  std::unexpected<Error> wrong(std::string_view name, std::string_view expected) const {
    return fail(ErrorKind::bad_input, "'" + std::string(name) + "' must be " + std::string(expected));
  }

 private:
  explicit Body(boost::json::object object) : object_(std::move(object)) {}
  static boost::json::string_view key(std::string_view name) { return {name.data(), name.size()}; }
  static std::optional<std::int64_t> integer(const boost::json::value& value) {
    if (value.is_int64()) return value.as_int64();
    if (value.is_uint64() && value.as_uint64() <= INT64_MAX) return static_cast<std::int64_t>(value.as_uint64());
    if (value.is_double() && value.as_double() >= -9e15 && value.as_double() <= 9e15 &&
        value.as_double() == static_cast<double>(static_cast<std::int64_t>(value.as_double()))) {
      return static_cast<std::int64_t>(value.as_double());
    }
    return std::nullopt;
  }
  const boost::json::value* find(std::string_view name) const {
    const auto* value = object_.if_contains(key(name));
    return value && !value->is_null() ? value : nullptr;
  }

  boost::json::object object_;
};

inline boost::json::value nullable(std::optional<std::int64_t> value) {
  return value ? boost::json::value(*value) : boost::json::value(nullptr);
}

inline http::Response answer(int status, const boost::json::value& value) {
  auto response = http::Response::json(status, boost::json::serialize(value));
  response.headers.set("Cache-Control", "no-store");
  return response;
}

// {"code","message","params"}; `code` defaults to the kind.
inline http::Response refusal(const Error& error, std::string_view code = {}, boost::json::object params = {}) {
  std::string_view shown = code.empty() ? to_string(error.kind) : code;
  return answer(http::status_of(error.kind),
                boost::json::object{{"code", boost::json::string_view(shown.data(), shown.size())},
                                    {"message", error.message},
                                    {"params", std::move(params)}});
}

}  // namespace tocayo::tenancy::json
