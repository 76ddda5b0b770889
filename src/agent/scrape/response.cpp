// SPDX-License-Identifier: Apache-2.0
#include "agent/scrape/response.h"

#include <fmt/format.h>

#include <map>

namespace tocayo::agent {

Result<metrics::ExpositionFormat> body_format(std::string_view content_type, std::string_view fallback) {
  using metrics::ExpositionFormat;
  if (auto known = metrics::exposition_format(content_type)) return *known;
  if (fallback == "PrometheusProto") return ExpositionFormat::protobuf;
  if (fallback.starts_with("OpenMetrics")) return ExpositionFormat::openmetrics;
  if (!fallback.empty()) return ExpositionFormat::text;
  if (content_type.empty()) {
    return fail(
        ErrorKind::bad_input,
        "non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol specified for target");
  }
  return fail(
      ErrorKind::bad_input,
      fmt::format("received unsupported Content-Type \"{}\" and no fallback_scrape_protocol specified for target",
                  content_type));
}

std::string status_text(int status) {
  static const std::map<int, std::string_view> kPhrases = {{204, "No Content"},
                                                           {301, "Moved Permanently"},
                                                           {302, "Found"},
                                                           {307, "Temporary Redirect"},
                                                           {308, "Permanent Redirect"},
                                                           {400, "Bad Request"},
                                                           {401, "Unauthorized"},
                                                           {403, "Forbidden"},
                                                           {404, "Not Found"},
                                                           {405, "Method Not Allowed"},
                                                           {406, "Not Acceptable"},
                                                           {408, "Request Timeout"},
                                                           {429, "Too Many Requests"},
                                                           {500, "Internal Server Error"},
                                                           {502, "Bad Gateway"},
                                                           {503, "Service Unavailable"},
                                                           {504, "Gateway Timeout"}};
  auto phrase = kPhrases.find(status);
  return phrase == kPhrases.end() ? std::to_string(status) : fmt::format("{} {}", status, phrase->second);
}

}  // namespace tocayo::agent
