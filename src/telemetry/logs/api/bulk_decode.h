// SPDX-License-Identifier: Apache-2.0
// The body of Elasticsearch's _bulk (newline-delimited JSON: an action, then its document) to rows. A document becomes
// a line: its message is the line, some members become labels of the stream, all others structured metadata.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "logs/api/push_rows.h"

namespace tocayo::logs::api {

// Which members mean what, as paths with dots. Of `time` and `message` the first that a document has.
struct BulkFields {
  std::vector<std::string> stream;  // besides the index; with `only_stream` instead of it
  bool only_stream = false;
  std::vector<std::string> time{"@timestamp"};
  std::vector<std::string> message{"message"};
};
// Members that become labels unless the sender chooses: what tells where a line is from, and few values.
const std::vector<std::string>& default_bulk_stream_fields();

struct BulkItem {
  std::string_view action;  // as sent: "index", "create", "update", "delete"
  std::string index;
  std::string id;          // as sent, or made
  int status = 201;        // or of `error`
  std::string error_type;  // Elasticsearch's name; empty: the document became a row
  std::string error;
  std::uint32_t stream = 0;  // its place in the rows
  std::uint32_t entry = 0;
};

// `body` gets padding appended and must outlive the rows. `index` is that of the path, for actions that name none.
// `now` is the time of a document without one. bad_input names the line when the body as a whole is damaged: an action
// that is none, or one without document; a damaged document only is its item's error.
Result<std::vector<BulkItem>> decode_bulk(std::string& body, std::string_view index, const BulkFields& fields,
                                          TimestampNs now, PushRows& rows);

// `logstash-2026.11.30` as `logstash`: an index a day must not be a stream a day.
std::string_view index_without_date(std::string_view index);

}  // namespace tocayo::logs::api
