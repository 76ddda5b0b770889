// SPDX-License-Identifier: Apache-2.0
#include "agent/ship/queue_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cinttypes>
#include <cstdio>

#include "core/hash.h"
#include "core/log.h"
#include "core/registry.h"
#include "core/text.h"

namespace tocayo::agent {
namespace {

constexpr std::size_t kMaxLine = 64 << 10;

Result<> write_file(const std::string& path, int flags, std::string_view bytes, bool sync) {
  int fd = ::open(path.c_str(), flags | O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
  if (fd < 0) return std::unexpected(error_from_errno("open " + path, errno));
  int failed = 0;
  while (!bytes.empty() && failed == 0) {
    ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n >= 0)
      bytes.remove_prefix(static_cast<std::size_t>(n));
    else if (errno != EINTR)
      failed = errno;
  }
  if (failed == 0 && sync && ::fsync(fd) != 0) failed = errno;
  ::close(fd);
  if (failed != 0) return std::unexpected(error_from_errno("write " + path, failed));
  return {};
}

}  // namespace

std::uint64_t disk_budget(std::uint64_t wanted, const std::string& dir) {
  constexpr std::uint64_t kMost = 8ULL << 30;
  if (wanted != 0) return wanted;
  struct statvfs volume{};
  if (::statvfs(dir.c_str(), &volume) != 0) return kMost;
  return std::min(kMost, static_cast<std::uint64_t>(volume.f_blocks) * volume.f_frsize / 10);
}

std::uint64_t segment_size(std::uint64_t budget) {
  return std::clamp<std::uint64_t>(budget / 8, 64ULL << 10, 64ULL << 20);
}

std::optional<Cursor> load_cursor(const std::string& path) {
  auto text = read_file(path, 4096);
  if (!text) {
    if (text.error().kind != ErrorKind::not_found)
      log::warn("agent", "the queue's cursor cannot be read", {{"error", text.error()}});
    return std::nullopt;
  }
  Cursor cursor;
  unsigned crc = 0;
  int body = 0;
  char queue[33] = {};
  if (std::sscanf(text->c_str(),
                  "cursor 2 %" SCNu64 " %" SCNu64 " %" SCNu64 " %32[0-9a-f-] %" SCNu64 " %" SCNx64 " %" SCNu64
                  " %" SCNu32 " %" SCNu64 " %" SCNd64 "%n crc %x",
                  &cursor.position, &cursor.delivered, &cursor.dropped, queue, &cursor.plan.window, &cursor.plan.nonce,
                  &cursor.plan.end, &cursor.plan.lanes, &cursor.plan.rows_per_batch, &cursor.plan.oldest, &body,
                  &crc) == 11 &&
      crc32c(std::string_view(*text).substr(0, static_cast<std::size_t>(body))) == crc) {
    if (std::string_view(queue) != "-") cursor.queue = queue;
    return cursor;
  }
  cursor = {};
  // Before requests were numbered.
  if (std::sscanf(text->c_str(), "cursor 1 %" SCNu64 " %" SCNu64 " %" SCNu64 "%n crc %x", &cursor.position,
                  &cursor.delivered, &cursor.dropped, &body, &crc) == 4 &&
      crc32c(std::string_view(*text).substr(0, static_cast<std::size_t>(body))) == crc) {
    return cursor;
  }
  log::error("agent", "the queue's cursor is damaged; everything still queued is sent again", {{"file", path}});
  return std::nullopt;
}

Result<> save_cursor(const std::string& path, const Cursor& cursor) {
  const Plan& plan = cursor.plan;
  std::string body = fmt::format("cursor 2 {} {} {} {} {} {:x} {} {} {} {}", cursor.position, cursor.delivered,
                                 cursor.dropped, cursor.queue.empty() ? "-" : cursor.queue, plan.window, plan.nonce,
                                 plan.end, plan.lanes, plan.rows_per_batch, plan.oldest);
  return replace_file(path, fmt::format("{} crc {:08x}\n", body, crc32c(body)), true);
}

Result<> replace_file(const std::string& path, std::string_view bytes, bool sync) {
  std::string fresh = path + ".new";
  TRY(write_file(fresh, O_TRUNC, bytes, sync));
  if (::rename(fresh.c_str(), path.c_str()) != 0) return std::unexpected(error_from_errno("rename " + fresh, errno));
  if (!sync) return {};
  std::string dir = path.substr(0, path.rfind('/'));
  int fd = ::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return std::unexpected(error_from_errno("open " + dir, errno));
  int failed = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  if (failed != 0) return std::unexpected(error_from_errno("fsync " + dir, failed));
  return {};
}

Result<> DeadLetters::add(const Item& item, int status, std::string_view reason, TimestampMs now) {
  namespace json = boost::json;
  const RecordRows& rows = *item.rows;
  const RecordRows::Series& series = rows.series[item.series];
  json::object line;
  line["time"] = format_rfc3339(now);
  line["status"] = status;
  line["reason"] = reason;
  json::object labels;
  for (const Label& label : rows.label_set(series.label_begin, series.label_count)) labels[label.name] = label.value;
  line["labels"] = std::move(labels);
  json::array samples, histograms, exemplars;
  for (std::uint32_t i = item.float_begin; i < item.float_begin + item.float_count; ++i) {
    samples.push_back({rows.floats[i].time, format_prometheus_value(rows.floats[i].value)});
  }
  for (std::uint32_t i = item.histogram_begin; i < item.histogram_begin + item.histogram_count; ++i) {
    histograms.push_back({rows.histograms[i].time, rows.histograms[i].histogram->to_string()});
  }
  for (std::uint32_t i = item.exemplar_begin; i < item.exemplar_begin + item.exemplar_count; ++i) {
    exemplars.push_back({rows.exemplars[i].time, format_prometheus_value(rows.exemplars[i].value)});
  }
  line["samples"] = std::move(samples);
  if (!histograms.empty()) line["histograms"] = std::move(histograms);
  if (!exemplars.empty()) line["exemplars"] = std::move(exemplars);
  std::string text = json::serialize(line);
  if (text.size() > kMaxLine) {
    line["samples"] = fmt::format("{} rows, too many to show", item.size());
    line.erase("histograms");
    line.erase("exemplars");
    text = json::serialize(line);
  }
  text += '\n';
  return add_text(text);
}

Result<> DeadLetters::add_text(std::string_view text) {
  struct stat info{};
  if (::stat(path_.c_str(), &info) == 0 && static_cast<std::uint64_t>(info.st_size) + text.size() > limit_ / 2) {
    if (::rename(path_.c_str(), (path_ + ".old").c_str()) != 0)
      return std::unexpected(error_from_errno("rename " + path_, errno));
  }
  return write_file(path_, O_APPEND, text, false);
}

}  // namespace tocayo::agent
