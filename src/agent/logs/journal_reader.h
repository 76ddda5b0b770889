// SPDX-License-Identifier: Apache-2.0
// The machine's journal, or a directory of journal files, through libsystemd.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/logs/log_config.h"
#include "core/error.h"
#include "core/time.h"

namespace tocayo::agent {

struct JournalEntry {
  TimestampNs time = 0;
  std::string cursor;
  std::vector<std::pair<std::string, std::string>> fields;  // "MESSAGE", …; in the journal's order, any bytes
};

// Not thread-safe, and to be used on the thread that opened it.
class JournalReader {
 public:
  // Begins behind `cursor`; without one, or when its entry is older than max_age (or gone), max_age before now.
  // unavailable: there is no journal, or it may not be read.
  static Result<std::unique_ptr<JournalReader>> open(const JournalSettings& settings, const std::string& cursor,
                                                     TimestampNs now);
  virtual ~JournalReader() = default;
  // Up to `most` entries that were not read before; returns how many. unavailable: open it again later.
  virtual Result<std::size_t> read(std::size_t most, const std::function<void(JournalEntry)>& visit) = 0;
};

// Whether this machine has a journal that this process may read.
bool machine_has_journal();

// As promtail has it: __journal_<field> for every field, __journal_priority_keyword, and the configured labels.
Labels journal_labels(const JournalEntry& entry, const JournalSettings& settings);
// The entry's text: MESSAGE, or all fields as JSON. nullopt: it has none.
std::optional<std::string> journal_text(const JournalEntry& entry, const JournalSettings& settings);

}  // namespace tocayo::agent
