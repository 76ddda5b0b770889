// SPDX-License-Identifier: Apache-2.0
// The two formats in which container runtimes write what containers print.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/time.h"

namespace tocayo::agent {

// CRI: `2026-11-24T10:00:00.000000001Z stdout F the text`. The tags may be several, joined by colons; the first says
// whether the line goes on (P) or ends here (F).
struct CriLine {
  std::string_view time, stream, tags, text;  // of the line
  bool partial = false;
};
std::optional<CriLine> parse_cri_line(std::string_view line);

// Docker's json-file: {"log":"the text\n","stream":"stdout","time":"2026-…Z","attrs":{…}}.
struct DockerLine {
  std::string text, stream, time;  // as they stand there; the text with its newline if it has one
  std::optional<std::string> error;
};
std::optional<DockerLine> parse_docker_line(std::string_view line);

}  // namespace tocayo::agent
