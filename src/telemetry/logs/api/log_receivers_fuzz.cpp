// SPDX-License-Identifier: Apache-2.0
// The bodies of other receivers: Elasticsearch's _bulk and systemd's journal export.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "logs/api/bulk_decode.h"
#include "logs/api/journal_export.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tocayo::logs::api;
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data + 1), size - 1);
  PushRows rows;
  if (data[0] % 2 == 0) {
    (void)decode_journal_export(body, rows);
    rows.finish(true, {});
    return 0;
  }
  std::string copy(body);
  BulkFields fields;
  fields.stream = default_bulk_stream_fields();
  if (auto items = decode_bulk(copy, "i", fields, 1, rows)) {
    rows.finish(true, {});
    for (const auto& item : *items) {
      if (item.error_type.empty() && item.entry >= rows.streams().at(item.stream).count) __builtin_trap();
    }
  }
  return 0;
}
