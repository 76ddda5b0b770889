// SPDX-License-Identifier: Apache-2.0
// One syslog message: RFC 5424, and RFC 3164 as it is found in the wild.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/time.h"

namespace tocayo::syslog {

enum class Format : unsigned char { any, rfc3164, rfc5424 };

// Views of the message's bytes, but for values with escapes, which are made.
struct Message {
  int facility = 1;      // "user", as RFC 3164 has it for a message without priority
  int severity = 5;      // "notice"
  TimestampNs time = 0;  // of the message, else the time of arrival
  std::string_view host;
  std::string_view app;
  std::string_view process;  // PROCID, or the number behind the tag
  std::string_view id;       // MSGID
  struct Parameter {
    std::string_view element;  // SD-ID
    std::string_view name;
    std::string value;
  };
  std::vector<Parameter> data;
  std::string_view text;  // without the line ends at its end
};

// Reads what can be read: a message that follows no rule is its own text, so that nothing is lost. `now` is the time of
// arrival; a date without a year takes the year that is nearest to it. A date without a zone is UTC.
Message parse_message(std::string_view bytes, Format format, TimestampNs now);

// "kern", "user", …; "local7". "" outside 0 to 23.
std::string_view facility_name(int facility);
// "emerg", "alert", "crit", "error", "warning", "notice", "info", "debug".
std::string_view severity_name(int severity);

}  // namespace tocayo::syslog
