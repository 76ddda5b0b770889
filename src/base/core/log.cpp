// SPDX-License-Identifier: Apache-2.0
#include "core/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>
#include <mutex>

#include "core/registry.h"
#include "core/time.h"

namespace tocayo::log {
namespace {

std::atomic<Level> minimum{Level::info};
std::mutex sink_mutex;
std::shared_ptr<const std::function<void(Level, std::string_view)>> extra_sink;

spdlog::logger& logger() {
  static spdlog::logger instance = [] {
    spdlog::logger made("tocayo", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made.set_pattern("%v");
    made.set_level(spdlog::level::trace);
    made.flush_on(spdlog::level::trace);
    return made;
  }();
  return instance;
}

constexpr std::string_view kNames[] = {"debug", "info", "warn", "error"};

// logfmt: a value with spaces, quotes, '=' or control characters is quoted.
void append_value(std::string& out, std::string_view value) {
  bool plain = !value.empty();
  for (unsigned char c : value) {
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f) plain = false;
  }
  if (plain) {
    out += value;
    return;
  }
  out += '"';
  for (char c : value) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20)
          out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
        else
          out += c;
    }
  }
  out += '"';
}

}  // namespace

void write(Level level, std::string_view room, std::string_view message, Fields fields) {
  if (level < minimum.load(std::memory_order_relaxed)) return;
  std::string line = "ts=" + format_rfc3339(Clock::system().now_ms());
  line += " level=";
  line += kNames[static_cast<int>(level)];
  line += " room=";
  line += room;
  line += " msg=";
  append_value(line, message);
  for (const Field& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    append_value(line, field.value);
  }
  static Counter* counters[] = {
      &Registry::global().counter("tocayo_log_lines_total", "Log lines written.", {{"level", "debug"}}),
      &Registry::global().counter("tocayo_log_lines_total", "Log lines written.", {{"level", "info"}}),
      &Registry::global().counter("tocayo_log_lines_total", "Log lines written.", {{"level", "warn"}}),
      &Registry::global().counter("tocayo_log_lines_total", "Log lines written.", {{"level", "error"}})};
  counters[static_cast<int>(level)]->add();
  logger().log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
  std::shared_ptr<const std::function<void(Level, std::string_view)>> sink;
  {
    std::lock_guard lock(sink_mutex);
    sink = extra_sink;
  }
  if (sink) (*sink)(level, line);
}

Result<Level> parse_level(std::string_view text) {
  for (int i = 0; i < 4; ++i) {
    if (kNames[i] == text) return static_cast<Level>(i);
  }
  return fail(ErrorKind::bad_input, "unknown log level \"" + std::string(text) + "\" (debug, info, warn, error)");
}

void set_level(Level level) { minimum.store(level, std::memory_order_relaxed); }

void set_sink(std::function<void(Level, std::string_view)> sink) {
  std::lock_guard lock(sink_mutex);
  if (sink)
    extra_sink = std::make_shared<const std::function<void(Level, std::string_view)>>(std::move(sink));
  else
    extra_sink.reset();
}

}  // namespace tocayo::log
