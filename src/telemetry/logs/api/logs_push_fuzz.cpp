// SPDX-License-Identifier: Apache-2.0
// The bodies of pushes: protobuf, JSON, OpenTelemetry in both encodings, and the labels of a stream.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "logs/api/otlp.h"
#include "logs/api/push_decode.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tocayo::logs::api;
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data + 1), size - 1);
  static PushRows rows;
  rows.clear();
  switch (data[0] % 5) {
    case 0: (void)decode_push_proto(body, rows); break;
    case 1: {
      static JsonPushDecoder decoder;
      std::string copy(body);
      if (decoder.decode(copy, rows)) rows.finish(true, {});
      rows.clear();
      return 0;
    }
    case 2: (void)decode_otlp(body, true, OtlpRules{}, 1, rows); break;
    case 3: (void)decode_otlp(body, false, OtlpRules{}, 1, rows); break;
    default: (void)parse_stream_labels(body); break;
  }
  rows.finish(true, {});
  rows.clear();
  return 0;
}
