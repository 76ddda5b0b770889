// SPDX-License-Identifier: Apache-2.0
// systemd's journal export format (application/vnd.fdo.journal, systemd.io/JOURNAL_EXPORT_FORMATS): entries of
// `NAME=value` lines, or `NAME`, a little-endian size of 64 bits and that many bytes; an empty line ends an entry.
#pragma once

#include <cstddef>
#include <functional>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "logs/api/push_rows.h"

namespace tocayo::logs::api {

struct JournalField {
  std::string_view name;
  std::string_view value;  // any bytes
};

// Calls `visit` with each entry of `body`, whose views it gets. bad_input names the byte at which the body is damaged.
Result<> read_journal_export(std::string_view body,
                             const std::function<Result<>(std::span<const JournalField>)>& visit);

// Each entry as a row of a stream by host and unit: the message is the line, all other fields are structured metadata
// under their lower-case names without underscores in front, the cursor among them: an entry that is sent again is the
// same row. `body` must outlive the rows. bad_input when it is damaged, or an entry has no time.
Result<> decode_journal_export(std::string_view body, PushRows& rows);

}  // namespace tocayo::logs::api
