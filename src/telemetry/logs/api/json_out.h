// SPDX-License-Identifier: Apache-2.0
// Answers in Loki's JSON, appended to a string.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/labels.h"
#include "core/time.h"
#include "http/message.h"
#include "logql/engine/engine.h"

namespace tocayo::logs::api {

// Quoted; bytes that are no UTF-8 become U+FFFD; <, > and & are escaped as Go's encoder does.
void append_json_text(std::string& out, std::string_view text);
void append_json_labels(std::string& out, std::span<const Label> labels);
void append_json_labels(std::string& out, const Labels& labels);
// A sample: [seconds.millis,"value"].
void append_sample(std::string& out, TimestampNs time, double value);

struct ResultFormat {
  bool categorize = false;   // X-Loki-Response-Encoding-Flags: categorize-labels
  double queue_seconds = 0;  // waited for its turn
};
// {"status":"success","data":{…,"stats":{…}}}
std::string query_body(const logql::QueryResult& result, const ResultFormat& format);

// {"status":"success","data":[…]}
std::string names_body(std::span<const std::string> names);

}  // namespace tocayo::logs::api
