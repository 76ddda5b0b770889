// SPDX-License-Identifier: Apache-2.0
// What container runtimes, promtail's positions and the queue's records may hold.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "agent/logs/container_lines.h"
#include "agent/logs/jmespath.h"
#include "agent/logs/json_text.h"
#include "agent/logs/positions.h"
#include "agent/logs/stage_parsers.h"
#include "agent/ship/log_record.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tocayo::agent;
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 5) {
    case 0: {
      const auto line = parse_cri_line(input);
      // Nothing of the line is lost.
      if (line && line->time.size() + line->stream.size() + line->tags.size() + line->text.size() + 3 != input.size())
        std::abort();
      if (line) (void)parse_rfc3339_nano(line->time);
      break;
    }
    case 1: (void)parse_docker_line(input); break;
    case 2: {
      const auto positions = parse_promtail_positions(input, "positions.yaml");
      if (!positions && !positions.error().message.starts_with("positions.yaml:")) std::abort();
      break;
    }
    case 3: {
      const auto end = std::min(input.find('\0'), input.size());
      const auto path = JmesPath::compile(input.substr(0, end));
      const auto value = parse_json(input.substr(std::min(end + 1, input.size())));
      if (path && value) {
        const auto found = path->search(*value);
        // What is written can be read again.
        if (found && !parse_json(json_text(*found))) std::abort();
      }
      break;
    }
    default: {
      (void)decode_log_head(input);
      const auto rows = decode_log_rows(input, "");
      if (!rows) break;
      std::vector<LogItem> items;
      for (std::uint32_t i = 0; i < (*rows)->streams.size(); ++i)
        items.push_back({rows->get(), i, (*rows)->streams[i].begin, (*rows)->streams[i].count});
      (void)encode_push_request(items);
    }
  }
  return 0;
}
