// SPDX-License-Identifier: Apache-2.0
#include "logs/api/push_decode.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <protozero/pbf_reader.hpp>

#include "logql/syntax/lexer.h"
#include "logql/syntax/parser.h"

namespace tocayo::logs::api {

namespace {

using protozero::data_view;
using protozero::pbf_reader;

std::string_view view(data_view bytes) { return {bytes.data(), bytes.size()}; }

TimestampNs read_time(pbf_reader message) {
  std::int64_t seconds = 0;
  std::int64_t nanos = 0;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case protozero::tag_and_type(1, protozero::pbf_wire_type::varint): seconds = message.get_int64(); break;
      case protozero::tag_and_type(2, protozero::pbf_wire_type::varint): nanos = message.get_int32(); break;
      default: message.skip();
    }
  }
  constexpr std::int64_t kSecond = 1'000'000'000;
  seconds = std::clamp(seconds, INT64_MIN / kSecond + 1, INT64_MAX / kSecond - 1);
  return seconds * kSecond + nanos;
}

void read_pair(pbf_reader message, PushRows& rows) {
  std::string_view name;
  std::string_view value;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case protozero::tag_and_type(1, protozero::pbf_wire_type::length_delimited):
        name = view(message.get_view());
        break;
      case protozero::tag_and_type(2, protozero::pbf_wire_type::length_delimited):
        value = view(message.get_view());
        break;
      default: message.skip();
    }
  }
  rows.add_metadata(name, value);
}

void read_entry(pbf_reader message, PushRows& rows) {
  TimestampNs time = 0;
  std::string_view line;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case protozero::tag_and_type(1, protozero::pbf_wire_type::length_delimited):
        time = read_time(message.get_message());
        break;
      case protozero::tag_and_type(2, protozero::pbf_wire_type::length_delimited):
        line = view(message.get_view());
        break;
      case protozero::tag_and_type(3, protozero::pbf_wire_type::length_delimited):
        read_pair(message.get_message(), rows);
        break;
      default: message.skip();  // `parsed` (4) is of answers only
    }
  }
  rows.add_entry(time, line);
}

void read_stream(pbf_reader message, PushRows& rows) {
  // The labels may follow the entries.
  std::string_view labels;
  for (pbf_reader copy = message; copy.next();) {
    if (copy.tag_and_type() == protozero::tag_and_type(1, protozero::pbf_wire_type::length_delimited)) {
      labels = view(copy.get_view());
    } else {
      copy.skip();
    }
  }
  rows.start_stream(labels);
  while (message.next()) {
    if (message.tag_and_type() == protozero::tag_and_type(2, protozero::pbf_wire_type::length_delimited)) {
      read_entry(message.get_message(), rows);
    } else {
      message.skip();
    }
  }
}

}  // namespace

Result<> decode_push_proto(std::string_view body, PushRows& rows) {
  try {
    pbf_reader request(body.data(), body.size());
    while (request.next()) {
      if (request.tag_and_type() == protozero::tag_and_type(1, protozero::pbf_wire_type::length_delimited)) {
        read_stream(request.get_message(), rows);
      } else {
        request.skip();
      }
    }
  } catch (const protozero::exception& e) {
    return fail(ErrorKind::bad_input, fmt::format("the push request is no valid protobuf message: {}", e.what()));
  }
  return {};
}

Result<Labels> parse_stream_labels(std::string_view text) {
  const auto matchers = TRY(logql::parse_matchers(text, true));
  std::vector<Label> labels;
  for (const auto& matcher : matchers) {
    if (matcher.type() != Matcher::Type::equal) {
      return fail(ErrorKind::bad_input, fmt::format("only = is allowed in the labels of a stream: {}", text));
    }
    for (const auto& label : labels) {
      if (label.name == matcher.name()) {
        return fail(ErrorKind::bad_input,
                    fmt::format("stream '{}' has duplicate label name: '{}'", text, matcher.name()));
      }
    }
    labels.push_back({.name = matcher.name(), .value = matcher.value()});
  }
  return Labels(std::move(labels));
}

struct JsonPushDecoder::Impl {
  simdjson::ondemand::parser parser;
};

JsonPushDecoder::JsonPushDecoder() : impl_(std::make_unique<Impl>()) {}
JsonPushDecoder::~JsonPushDecoder() = default;

namespace {

namespace od = simdjson::ondemand;

std::unexpected<Error> wrong(std::string_view where, std::string_view what) {
  return fail(ErrorKind::bad_input, fmt::format("the push request is no valid JSON of streams: {}: {}", where, what));
}
std::unexpected<Error> wrong(std::string_view where, simdjson::error_code code) {
  return wrong(where, simdjson::error_message(code));
}

class JsonReader {
 public:
  explicit JsonReader(PushRows& rows) : rows_(rows) {}

  Result<> read(od::document& document) {
    od::object root;
    if (auto error = document.get_object().get(root)) return wrong("the body", error);
    for (auto member : root) {
      od::field field;
      if (auto error = std::move(member).get(field)) return wrong("the body", error);
      std::string_view key;
      if (auto error = field.unescaped_key().get(key)) return wrong("the body", error);
      if (key != "streams") continue;
      od::array streams;
      if (auto error = field.value().get_array().get(streams)) return wrong("streams", error);
      for (auto item : streams) {
        od::object stream;
        if (auto error = item.get_object().get(stream)) return wrong(where(), error);
        TRY(read_stream(stream));
        ++stream_;
      }
    }
    if (document.current_location().error() == simdjson::SUCCESS)
      return wrong("the body", "something follows the object");
    return {};
  }

 private:
  std::string where() const { return fmt::format("stream {}", stream_ + 1); }
  std::string where(std::size_t value) const { return fmt::format("stream {}, value {}", stream_ + 1, value + 1); }

  Result<> read_stream(od::object stream) {
    Labels labels;
    bool has_labels = false;
    // `values` may come before `stream`: read labels first, then go back.
    od::object names;
    if (auto error = stream.find_field_unordered("stream").get_object().get(names); error == simdjson::SUCCESS) {
      labels = TRY(read_labels(names));
      has_labels = true;
    } else if (error != simdjson::NO_SUCH_FIELD) {
      return wrong(where(), error);
    }
    if (!has_labels) return wrong(where(), "the member \"stream\" is missing");
    rows_.start_stream(std::move(labels));
    if (auto error = stream.reset().error()) return wrong(where(), error);
    od::array values;
    if (auto error = stream.find_field_unordered("values").get_array().get(values)) {
      if (error == simdjson::NO_SUCH_FIELD) return {};
      return wrong(where(), error);
    }
    std::size_t number = 0;
    for (auto item : values) {
      od::array value;
      if (auto error = item.get_array().get(value)) return wrong(where(number), error);
      TRY(read_value(value, number));
      ++number;
    }
    return {};
  }

  Result<Labels> read_labels(od::object names) {
    std::vector<Label> labels;
    for (auto member : names) {
      od::field field;
      if (auto error = std::move(member).get(field)) return wrong(where(), error);
      std::string_view key;
      std::string_view value;
      if (auto error = field.unescaped_key().get(key)) return wrong(where(), error);
      if (auto error = field.value().get_string().get(value))
        return wrong(where(), fmt::format("label {} is no string: {}", key, simdjson::error_message(error)));
      labels.push_back({.name = std::string(key), .value = std::string(value)});
    }
    return Labels(std::move(labels));
  }

  Result<> read_value(od::array value, std::size_t number) {
    std::size_t part = 0;
    TimestampNs time = 0;
    std::string_view line;
    for (auto element : value) {
      if (part == 0) {
        std::string_view text;
        if (auto error = element.get_string().get(text))
          return wrong(where(number), fmt::format("the timestamp must be a string of nanoseconds: {}",
                                                  simdjson::error_message(error)));
        const auto end = text.data() + text.size();
        if (const auto parsed = std::from_chars(text.data(), end, time);
            parsed.ec != std::errc{} || parsed.ptr != end) {
          return wrong(where(number), fmt::format("the timestamp \"{}\" is no number of nanoseconds", text));
        }
      } else if (part == 1) {
        if (auto error = element.get_string().get(line))
          return wrong(where(number), fmt::format("the line must be a string: {}", simdjson::error_message(error)));
      } else if (part == 2) {
        od::object pairs;
        if (auto error = element.get_object().get(pairs))
          return wrong(where(number),
                       fmt::format("structured metadata must be an object: {}", simdjson::error_message(error)));
        for (auto member : pairs) {
          od::field field;
          if (auto error = std::move(member).get(field)) return wrong(where(number), error);
          std::string_view key;
          std::string_view text;
          if (auto error = field.unescaped_key().get(key)) return wrong(where(number), error);
          if (auto error = field.value().get_string().get(text))
            return wrong(where(number),
                         fmt::format("structured metadata {} is no string: {}", key, simdjson::error_message(error)));
          rows_.add_metadata(key, text);
        }
      } else {
        return wrong(where(number), "more than three members");
      }
      ++part;
    }
    if (part < 2) return wrong(where(number), "a value needs a timestamp and a line");
    rows_.add_entry(time, line);
    return {};
  }

  PushRows& rows_;
  std::size_t stream_ = 0;
};

}  // namespace

Result<> JsonPushDecoder::decode(std::string& body, PushRows& rows) {
  const auto size = body.size();
  body.resize(size + simdjson::SIMDJSON_PADDING);
  od::document document;
  if (auto error = impl_->parser.iterate(body.data(), size, body.size()).get(document)) return wrong("the body", error);
  return JsonReader(rows).read(document);
}

}  // namespace tocayo::logs::api
