// SPDX-License-Identifier: Apache-2.0
// Journal payloads of any bytes: read() ends with an error or with rows that can be written and read again.
#include <cstdlib>

#include "logs/store/record.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tocayo::logs;
  RecordReader reader;
  if (!reader.read({reinterpret_cast<const char*>(data), size})) return 0;
  RecordWriter writer;
  writer.begin(reader.tenant());
  std::size_t rows = 0;
  for (const RecordReader::Stream& stream : reader.streams()) {
    writer.stream(stream.labels, stream.rows);
    rows += stream.rows.size();
  }
  auto payload = writer.finish(1);
  if (!payload) std::abort();
  RecordReader again;
  if (!again.read(*payload) || again.tenant() != reader.tenant()) std::abort();
  std::size_t rows_again = 0;
  for (const RecordReader::Stream& stream : again.streams()) rows_again += stream.rows.size();
  if (rows != rows_again) std::abort();
  return 0;
}
