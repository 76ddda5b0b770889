// SPDX-License-Identifier: Apache-2.0
#include "agent/scrape/failure_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>

namespace tocayo::agent {

Result<> log_scrape_failure(const std::string& path, TimestampMs time, std::string_view job, std::string_view url,
                            std::string_view problem) {
  boost::json::object entry{
      {"time", format_rfc3339(time)}, {"level", "ERROR"}, {"msg", problem}, {"job_name", job}, {"target", url}};
  std::string line = boost::json::serialize(entry) + "\n";
  int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file < 0) return std::unexpected(error_from_errno("open " + path, errno));
  // One write: lines of several threads do not mix.
  ssize_t written = ::write(file, line.data(), line.size());
  int problem_number = errno;
  ::close(file);
  if (written < 0) return std::unexpected(error_from_errno("write " + path, problem_number));
  if (static_cast<std::size_t>(written) != line.size())
    return fail(ErrorKind::unavailable, "write " + path + ": only a part was written");
  return {};
}

}  // namespace tocayo::agent
