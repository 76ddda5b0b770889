// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <boost/json.hpp>
#include <charconv>
#include <protozero/pbf_reader.hpp>

#include "core/text.h"
#include "logs/api/otlp_model.h"

namespace tocayo::logs::api::otlp {

namespace {

using protozero::pbf_reader;
using protozero::pbf_wire_type;
using protozero::tag_and_type;

constexpr int kDeepest = 64;

std::string text(pbf_reader& message) {
  const auto bytes = message.get_view();
  return {bytes.data(), bytes.size()};
}

Value read_value(pbf_reader message, int depth);

Attribute read_pair(pbf_reader message, int depth) {
  Attribute pair;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case tag_and_type(1, pbf_wire_type::length_delimited): pair.key = text(message); break;
      case tag_and_type(2, pbf_wire_type::length_delimited):
        pair.value = read_value(message.get_message(), depth);
        break;
      default: message.skip();
    }
  }
  return pair;
}

Value read_value(pbf_reader message, int depth) {
  Value value;
  if (depth > kDeepest) return value;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case tag_and_type(1, pbf_wire_type::length_delimited): value.data = text(message); break;
      case tag_and_type(2, pbf_wire_type::varint): value.data = message.get_bool(); break;
      case tag_and_type(3, pbf_wire_type::varint): value.data = message.get_int64(); break;
      case tag_and_type(4, pbf_wire_type::fixed64): value.data = message.get_double(); break;
      case tag_and_type(5, pbf_wire_type::length_delimited): {
        std::vector<Value> list;
        auto items = message.get_message();
        while (items.next()) {
          if (items.tag_and_type() == tag_and_type(1, pbf_wire_type::length_delimited)) {
            list.push_back(read_value(items.get_message(), depth + 1));
          } else {
            items.skip();
          }
        }
        value.data = std::move(list);
        break;
      }
      case tag_and_type(6, pbf_wire_type::length_delimited): {
        Attributes pairs;
        auto items = message.get_message();
        while (items.next()) {
          if (items.tag_and_type() == tag_and_type(1, pbf_wire_type::length_delimited)) {
            pairs.push_back(read_pair(items.get_message(), depth + 1));
          } else {
            items.skip();
          }
        }
        value.data = std::move(pairs);
        break;
      }
      case tag_and_type(7, pbf_wire_type::length_delimited): value.data = Bytes{text(message)}; break;
      default: message.skip();
    }
  }
  return value;
}

Record read_record(pbf_reader message) {
  Record record;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case tag_and_type(1, pbf_wire_type::fixed64): record.time = message.get_fixed64(); break;
      case tag_and_type(2, pbf_wire_type::varint): record.severity_number = message.get_int32(); break;
      case tag_and_type(3, pbf_wire_type::length_delimited): record.severity_text = text(message); break;
      case tag_and_type(5, pbf_wire_type::length_delimited): record.body = read_value(message.get_message(), 0); break;
      case tag_and_type(6, pbf_wire_type::length_delimited):
        record.attributes.push_back(read_pair(message.get_message(), 0));
        break;
      case tag_and_type(7, pbf_wire_type::varint): record.dropped = message.get_uint32(); break;
      case tag_and_type(8, pbf_wire_type::fixed32): record.flags = message.get_fixed32(); break;
      case tag_and_type(9, pbf_wire_type::length_delimited): record.trace_id = hex(text(message)); break;
      case tag_and_type(10, pbf_wire_type::length_delimited): record.span_id = hex(text(message)); break;
      case tag_and_type(11, pbf_wire_type::fixed64): record.observed = message.get_fixed64(); break;
      case tag_and_type(12, pbf_wire_type::length_delimited): record.event_name = text(message); break;
      default: message.skip();
    }
  }
  return record;
}

Scope read_scope(pbf_reader message) {
  Scope scope;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case tag_and_type(1, pbf_wire_type::length_delimited): {
        auto facts = message.get_message();
        while (facts.next()) {
          switch (facts.tag_and_type()) {
            case tag_and_type(1, pbf_wire_type::length_delimited): scope.name = text(facts); break;
            case tag_and_type(2, pbf_wire_type::length_delimited): scope.version = text(facts); break;
            case tag_and_type(3, pbf_wire_type::length_delimited):
              scope.attributes.push_back(read_pair(facts.get_message(), 0));
              break;
            case tag_and_type(4, pbf_wire_type::varint): scope.dropped = facts.get_uint32(); break;
            default: facts.skip();
          }
        }
        break;
      }
      case tag_and_type(2, pbf_wire_type::length_delimited):
        scope.records.push_back(read_record(message.get_message()));
        break;
      default: message.skip();
    }
  }
  return scope;
}

Resource read_resource(pbf_reader message) {
  Resource resource;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case tag_and_type(1, pbf_wire_type::length_delimited): {
        auto facts = message.get_message();
        while (facts.next()) {
          switch (facts.tag_and_type()) {
            case tag_and_type(1, pbf_wire_type::length_delimited):
              resource.attributes.push_back(read_pair(facts.get_message(), 0));
              break;
            case tag_and_type(2, pbf_wire_type::varint): resource.dropped = facts.get_uint32(); break;
            default: facts.skip();
          }
        }
        break;
      }
      case tag_and_type(2, pbf_wire_type::length_delimited):
        resource.scopes.push_back(read_scope(message.get_message()));
        break;
      default: message.skip();
    }
  }
  return resource;
}

// The JSON mapping of protobuf: 64-bit integers are strings (numbers are taken too), ids hex. Members of the wrong kind
// are an error that names them.
namespace json = boost::json;

class JsonReader {
 public:
  Result<std::vector<Resource>> read(const json::value& root) {
    if (!root.is_object()) return fail(ErrorKind::bad_input, "the OTLP request must be a JSON object");
    std::vector<Resource> resources;
    for (const auto& item : list(root, "resourceLogs", "resource_logs")) {
      Resource resource;
      if (const auto* facts = member(item, "resource")) {
        resource.attributes = attributes(*facts, "attributes");
        resource.dropped =
            static_cast<std::uint64_t>(integer(*facts, "droppedAttributesCount", "dropped_attributes_count"));
      }
      for (const auto& scope_item : list(item, "scopeLogs", "scope_logs")) {
        Scope scope;
        if (const auto* facts = member(scope_item, "scope")) {
          scope.name = string(*facts, "name");
          scope.version = string(*facts, "version");
          scope.attributes = attributes(*facts, "attributes");
          scope.dropped =
              static_cast<std::uint64_t>(integer(*facts, "droppedAttributesCount", "dropped_attributes_count"));
        }
        for (const auto& record : list(scope_item, "logRecords", "log_records"))
          scope.records.push_back(read_record(record));
        resource.scopes.push_back(std::move(scope));
      }
      resources.push_back(std::move(resource));
    }
    if (!wrong_.empty()) return fail(ErrorKind::bad_input, fmt::format("the OTLP request is damaged: {}", wrong_));
    return resources;
  }

 private:
  Record read_record(const json::value& item) {
    Record record;
    record.time = static_cast<std::uint64_t>(integer(item, "timeUnixNano", "time_unix_nano"));
    record.observed = static_cast<std::uint64_t>(integer(item, "observedTimeUnixNano", "observed_time_unix_nano"));
    record.severity_number = integer(item, "severityNumber", "severity_number");
    record.severity_text = string(item, "severityText", "severity_text");
    if (const auto* body = member(item, "body")) record.body = value(*body, 0);
    record.attributes = attributes(item, "attributes");
    record.dropped = static_cast<std::uint64_t>(integer(item, "droppedAttributesCount", "dropped_attributes_count"));
    record.flags = static_cast<std::uint32_t>(integer(item, "flags"));
    record.trace_id = to_lower(string(item, "traceId", "trace_id"));
    record.span_id = to_lower(string(item, "spanId", "span_id"));
    record.event_name = string(item, "eventName", "event_name");
    return record;
  }

  const json::value* member(const json::value& object, const char* name, const char* other = nullptr) {
    if (!object.is_object()) {
      note(fmt::format("the parent of {} is no object", name));
      return nullptr;
    }
    const auto* found = object.as_object().if_contains(name);
    if (found == nullptr && other != nullptr) found = object.as_object().if_contains(other);
    return found == nullptr || found->is_null() ? nullptr : found;
  }
  const json::array& list(const json::value& object, const char* name, const char* other = nullptr) {
    static const json::array kNone;
    const auto* found = member(object, name, other);
    if (found == nullptr) return kNone;
    if (found->is_array()) return found->as_array();
    note(fmt::format("{} is no list", name));
    return kNone;
  }
  std::string string(const json::value& object, const char* name, const char* other = nullptr) {
    const auto* found = member(object, name, other);
    if (found == nullptr) return {};
    if (found->is_string()) return std::string(found->as_string());
    note(fmt::format("{} is no text", name));
    return {};
  }
  std::int64_t integer(const json::value& object, const char* name, const char* other = nullptr) {
    const auto* found = member(object, name, other);
    return found == nullptr ? 0 : integer_of(*found, name);
  }
  std::int64_t integer_of(const json::value& found, std::string_view name) {
    if (found.is_int64()) return found.as_int64();
    if (found.is_uint64()) return static_cast<std::int64_t>(found.as_uint64());
    if (found.is_string()) {
      const std::string_view text = found.as_string();
      std::int64_t number = 0;
      const auto end = text.data() + text.size();
      const auto parsed = std::from_chars(text.data(), end, number);
      if (parsed.ec == std::errc{} && parsed.ptr == end) return number;
    }
    note(fmt::format("{} is no integer", name));
    return 0;
  }
  Attributes attributes(const json::value& object, const char* name) {
    Attributes pairs;
    for (const auto& item : list(object, name)) pairs.push_back(pair(item, 0));
    return pairs;
  }
  Attribute pair(const json::value& item, int depth) {
    Attribute out;
    out.key = string(item, "key");
    if (const auto* found = member(item, "value")) out.value = value(*found, depth);
    return out;
  }
  Value value(const json::value& item, int depth) {
    Value out;
    if (depth > kDeepest) return out;
    if (!item.is_object()) {
      note("a value is no object such as {\"stringValue\": …}");
      return out;
    }
    for (const auto& [raw_key, of] : item.as_object()) {
      const std::string_view key = raw_key;
      if (key == "stringValue" || key == "string_value") {
        out.data = string(item, std::string(key).c_str());
      } else if (key == "boolValue" || key == "bool_value") {
        if (of.is_bool()) {
          out.data = of.as_bool();
        } else {
          note("boolValue is no boolean");
        }
      } else if (key == "intValue" || key == "int_value") {
        out.data = integer_of(of, key);
      } else if (key == "doubleValue" || key == "double_value") {
        if (of.is_number()) {
          out.data = of.to_number<double>();
        } else {
          note("doubleValue is no number");
        }
      } else if (key == "bytesValue" || key == "bytes_value") {
        if (of.is_string()) {
          out.data = Bytes{std::string(of.as_string())};
        } else {
          note("bytesValue is no text");
        }
      } else if (key == "arrayValue" || key == "array_value") {
        std::vector<Value> values;
        for (const auto& element : list(of, "values")) values.push_back(value(element, depth + 1));
        out.data = std::move(values);
      } else if (key == "kvlistValue" || key == "kvlist_value") {
        Attributes pairs;
        for (const auto& element : list(of, "values")) pairs.push_back(pair(element, depth + 1));
        out.data = std::move(pairs);
      }
    }
    return out;
  }
  void note(std::string what) {
    if (wrong_.empty()) wrong_ = std::move(what);
  }
  std::string wrong_;
};

}  // namespace

std::string hex(std::string_view bytes) {
  std::string out;
  for (char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

Result<std::vector<Resource>> parse_proto(std::string_view body) {
  std::vector<Resource> resources;
  try {
    pbf_reader request(body.data(), body.size());
    while (request.next()) {
      if (request.tag_and_type() == tag_and_type(1, pbf_wire_type::length_delimited)) {
        resources.push_back(read_resource(request.get_message()));
      } else {
        request.skip();
      }
    }
  } catch (const protozero::exception& e) {
    return fail(ErrorKind::bad_input, fmt::format("the OTLP request is no valid protobuf message: {}", e.what()));
  }
  return resources;
}

Result<std::vector<Resource>> parse_json(std::string_view body) {
  boost::system::error_code error;
  json::parse_options options;
  options.max_depth = 200;
  const auto root = json::parse(json::string_view(body.data(), body.size()), error, {}, options);
  if (error) return fail(ErrorKind::bad_input, fmt::format("the OTLP request is no valid JSON: {}", error.message()));
  return JsonReader().read(root);
}

}  // namespace tocayo::logs::api::otlp
