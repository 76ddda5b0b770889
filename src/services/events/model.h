// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/time.h"

namespace tocayo::events {

// Something that happened once: a deploy, an apply, a reload, an alert or incident that changed state, a run.
struct Event {
  std::int64_t id = 0;  // ascending in order of recording
  std::string tenant;
  TimestampMs time_ms = 0;                    // when it happened
  TimestampMs recorded_ms = 0;                // when we heard of it
  std::string kind;                           // "deploy", "config.reload", "incident.created": [a-z0-9_.-], 1-64 bytes
  std::string source;                         // who reports: "api", a room, a CI system
  std::string actor;                          // login, token, …
  std::string title;                          // one line
  std::string detail;                         // may be longer, plain text
  std::string url;                            // http(s) link, or ""
  std::map<std::string, std::string> labels;  // service, version, environment …
  std::string dedup_key;                      // "" or unique per tenant: a report that is sent again is the same event
};

struct EventFilter {
  std::vector<std::string> kinds;             // any of; "incident.*" is a prefix; empty: all
  std::string source;                         // "" all
  std::map<std::string, std::string> labels;  // all of
  std::string text;                           // contained in the title, without regard to ASCII case
  std::optional<TimestampMs> from_ms;         // time_ms >=
  std::optional<TimestampMs> to_ms;           // time_ms <=
};

struct EventPage {
  std::vector<Event> events;  // newest first by (time, id)
  std::string next;           // cursor of the following page, "" at the end
};

}  // namespace tocayo::events
