// SPDX-License-Identifier: Apache-2.0
// The bodies of POST /loki/api/v1/push: protobuf (snappy block) and JSON. Sources: Loki's push.proto and its JSON
// shape.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/error.h"
#include "logs/api/push_rows.h"

namespace tocayo::logs::api {

// `body` is decompressed protobuf and must outlive the rows. bad_input when it is damaged.
Result<> decode_push_proto(std::string_view body, PushRows& rows);

// Reads `{"streams": [{"stream": {…}, "values": [["<ns>", "<line>", {…}]]}]}`. Lines live in the decoder until its next
// use.
class JsonPushDecoder {
 public:
  JsonPushDecoder();
  ~JsonPushDecoder();
  // `body` gets padding appended and must outlive the rows. bad_input tells the stream and what is wrong with it.
  Result<> decode(std::string& body, PushRows& rows);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// `{a="b", c="d"}`, sorted, without empty values. bad_input: not of this form, or a name twice.
Result<Labels> parse_stream_labels(std::string_view text);

}  // namespace tocayo::logs::api
