// SPDX-License-Identifier: Apache-2.0
// Private to this room: an OpenTelemetry log request in memory, whichever encoding it came in.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/error.h"

namespace tocayo::logs::api::otlp {

struct Attribute;
using Attributes = std::vector<Attribute>;
struct Bytes {
  std::string data;
};
struct Value {
  std::variant<std::monostate, std::string, bool, std::int64_t, double, std::vector<Value>, Attributes, Bytes> data;
  bool empty() const { return std::holds_alternative<std::monostate>(data); }
};
struct Attribute {
  std::string key;
  Value value;
};

struct Record {
  std::uint64_t time = 0;  // ns
  std::uint64_t observed = 0;
  std::int64_t severity_number = 0;
  std::string severity_text;
  Value body;
  Attributes attributes;
  std::uint64_t dropped = 0;
  std::uint32_t flags = 0;
  std::string trace_id;  // hex
  std::string span_id;   // hex
  std::string event_name;
};
struct Scope {
  std::string name;
  std::string version;
  Attributes attributes;
  std::uint64_t dropped = 0;
  std::vector<Record> records;
};
struct Resource {
  Attributes attributes;
  std::uint64_t dropped = 0;
  std::vector<Scope> scopes;
};

Result<std::vector<Resource>> parse_proto(std::string_view body);
Result<std::vector<Resource>> parse_json(std::string_view body);
std::string hex(std::string_view bytes);

}  // namespace tocayo::logs::api::otlp
