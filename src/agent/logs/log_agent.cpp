// SPDX-License-Identifier: Apache-2.0
#include "agent/logs/log_agent.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <glob.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "agent/logs/positions.h"
#include "agent/logs/tail_file.h"
#include "core/log.h"

namespace tocayo::agent {

namespace {

constexpr std::string_view kRoom = "agent_logs";
constexpr std::size_t kOwnBytes = 4 << 20;
constexpr auto kSaveEvery = std::chrono::seconds(1);
constexpr auto kRetryFirst = std::chrono::milliseconds(100);
constexpr auto kRetryMost = std::chrono::seconds(5);
using Steady = std::chrono::steady_clock;

std::vector<std::string> expand(const std::string& pattern) {
  std::vector<std::string> paths;
  glob_t found{};
  if (::glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found) == 0) {
    for (std::size_t i = 0; i < found.gl_pathc; ++i) paths.emplace_back(found.gl_pathv[i]);
  }
  ::globfree(&found);
  return paths;
}

std::string machine_name() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

class LogAgentImpl final : public LogAgent {
 public:
  LogAgentImpl(LogAgentOptions options, Positions positions, logs::Appender& appender, LogRules rules,
               Registry& registry, const Clock& clock)
      : options_(std::move(options)),
        positions_(std::move(positions)),
        appender_(appender),
        rules_(std::move(rules)),
        clock_(clock),
        first_start_(positions_.fresh()),
        lines_(registry.counter("tocayo_agent_log_lines_total", "Lines handed over to the log store.")),
        bytes_(registry.counter("tocayo_agent_log_bytes_total", "Bytes of these lines.")),
        dropped_(registry.counter("tocayo_agent_dropped_total", "What the agent could not keep, by reason.",
                                  {{"destination", "local"}, {"signal", "logs"}, {"reason", "own_lines_over_memory"}})),
        truncations_(
            registry.counter("tocayo_agent_log_truncations_total", "Files that were cut while they were read.")),
        files_gauge_(registry.gauge("tocayo_agent_log_files", "Files that are read.")),
        lag_gauge_(registry.gauge("tocayo_agent_log_lag_bytes", "Bytes in these files that are not read yet.")) {
    if (options_.host.empty()) options_.host = machine_name();
    own_labels_ = Labels{{"host", options_.host}, {"job", "tocayo"}};
    own_labels_.set("service_name", "tocayo");
    if (options_.own_lines) {
      log::set_sink([this](log::Level level, std::string_view line) { take_own(level, line); });
    }
  }
  ~LogAgentImpl() override { stop(); }

  void start() override {
    thread_ = std::jthread([this](std::stop_token stop) { run(stop); });
  }

  void stop() override {
    if (options_.own_lines) log::set_sink({});
    if (!thread_.joinable()) return;
    thread_.request_stop();
    thread_ = {};
  }

 private:
  struct Tailed {
    TailFile file;
    Labels labels;
  };
  struct OwnLine {
    TimestampNs time;
    std::string line;
    std::string_view level;
  };

  TimestampNs now() const { return clock_.now_ms() * 1'000'000; }

  // On whatever thread logs.
  void take_own(log::Level level, std::string_view line) {
    // Lines about failing to hand over lines would feed themselves.
    if (handing_over_ && std::this_thread::get_id() == thread_.get_id()) return;
    constexpr std::string_view kNames[] = {"debug", "info", "warn", "error"};
    std::scoped_lock lock(own_mutex_);
    own_.push_back(
        {.time = std::max(now(), last_own_ + 1), .line = std::string(line), .level = kNames[static_cast<int>(level)]});
    last_own_ = own_.back().time;
    own_bytes_ += line.size();
    while (own_bytes_ > kOwnBytes) {
      own_bytes_ -= own_.front().line.size();
      own_.pop_front();
      dropped_.add();
    }
  }

  void run(std::stop_token stop) {
    auto next_scan = Steady::now();
    auto next_save = Steady::now() + kSaveEvery;
    while (!stop.stop_requested()) {
      const auto at = Steady::now();
      if (at >= next_scan || std::exchange(rescan_, false)) {
        scan();
        next_scan = at + options_.rescan;
      }
      const bool more = round(stop);
      if (at >= next_save) {
        save();
        next_save = at + kSaveEvery;
      }
      if (more) continue;
      std::unique_lock lock(wait_mutex_);
      wait_.wait_for(lock, stop, options_.poll, [] { return false; });
    }
    // What was written up to now, in one attempt.
    std::stop_source ended;
    ended.request_stop();
    round(ended.get_token());
    save();
  }

  void scan() {
    std::set<std::pair<std::uint64_t, std::uint64_t>> open;
    for (const auto& tailed : tailed_) open.emplace(tailed.file.identity().device, tailed.file.identity().inode);
    for (const auto& set : options_.files) {
      for (const auto& pattern : set.globs) {
        for (const auto& path : expand(pattern)) {
          const bool excluded = std::ranges::any_of(set.exclude, [&](const std::string& exclude) {
            return ::fnmatch(exclude.c_str(), path.c_str(), 0) == 0;
          });
          if (!excluded) begin(set, path, open);
        }
      }
    }
    first_start_ = false;
    files_gauge_.set(static_cast<double>(tailed_.size()));
  }

  void begin(const LogFiles& set, const std::string& path, std::set<std::pair<std::uint64_t, std::uint64_t>>& open) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return;  // not allowed, or gone: the next scan tries again
    std::uint64_t offset = 0;
    auto identity = identify(fd);
    const bool known = identity && open.contains({identity->device, identity->inode});
    if (identity && !known) {
      if (const auto position = positions_.find(fd)) {
        offset = position->offset;
      } else if (first_start_) {
        const auto size = ::lseek(fd, 0, SEEK_END);
        if (size > static_cast<off_t>(options_.first_bytes))
          offset = line_start(fd, static_cast<std::uint64_t>(size) - options_.first_bytes);
      }
    }
    ::close(fd);
    if (!identity || known) return;
    auto file = TailFile::open(path, offset);
    if (!file) return;
    open.emplace(identity->device, identity->inode);
    Labels labels = set.labels;
    labels.set("filename", path);
    labels.set("host", options_.host);
    rules_.label(labels);
    tailed_.push_back({.file = std::move(*file), .labels = std::move(labels)});
  }

  // Where the first whole line at or after `offset` begins.
  static std::uint64_t line_start(int fd, std::uint64_t offset) {
    char buffer[4096];
    const auto got = ::pread(fd, buffer, sizeof buffer, static_cast<off_t>(offset));
    if (got <= 0) return offset;
    const std::string_view text(buffer, static_cast<std::size_t>(got));
    const auto end = text.find('\n');
    return end == std::string_view::npos ? offset : offset + end + 1;
  }

  // Reads and hands over once; true when there is more.
  bool round(std::stop_token stop) {
    bool more = false;
    std::uint64_t lag = 0;
    for (auto& tailed : tailed_) {
      const auto truncations = tailed.file.truncations();
      std::vector<std::string> lines;
      // Asked before reading: what is written between the two is read in the next round.
      const bool gone = tailed.file.moved();
      auto taken = tailed.file.read(options_.batch_bytes, Steady::now(),
                                    [&](std::string_view line) { lines.emplace_back(line); });
      truncations_.add(static_cast<double>(tailed.file.truncations() - truncations));
      if (taken && *taken == 0 && gone) tailed.file.finish([&](std::string_view line) { lines.emplace_back(line); });
      if (!lines.empty() && !deliver(tailed.labels, lines, stop)) return false;
      positions_.set({.file = tailed.file.identity(), .path = tailed.file.path(), .offset = tailed.file.offset()});
      changed_ = changed_ || !lines.empty();
      more = more || (taken && *taken >= options_.batch_bytes);
      const auto size = tailed.file.size();
      lag += size > tailed.file.offset() ? size - tailed.file.offset() : 0;
      if (!taken || (*taken == 0 && gone)) ended_.push_back(tailed.file.identity());
    }
    for (const auto& identity : ended_) {
      std::erase_if(tailed_, [&](const Tailed& tailed) { return tailed.file.identity() == identity; });
      positions_.forget(identity);
      changed_ = true;
      rescan_ = true;  // what took its place
    }
    ended_.clear();
    lag_gauge_.set(static_cast<double>(lag));
    deliver_own(stop);
    return more;
  }

  // Waits until the store took the lines; false when told to stop meanwhile.
  bool hand_over(const Labels& labels, std::span<const logs::EntryRow> rows, std::stop_token stop) {
    std::chrono::milliseconds pause = kRetryFirst;
    handing_over_ = true;
    while (true) {
      logs::StreamRows stream{.ref = 0, .labels = &labels, .entries = rows};
      auto done = sync_wait(appender_.append(options_.tenant, std::span(&stream, 1)));
      if (done) {
        std::size_t bytes = 0;
        for (const auto& row : rows) bytes += row.line.size();
        lines_.add(static_cast<double>(rows.size()));
        bytes_.add(static_cast<double>(bytes));
        break;
      }
      if (done.error().kind != ErrorKind::unavailable && done.error().kind != ErrorKind::limit) {
        handing_over_ = false;
        log::warn(kRoom, "lines were refused", {{"labels", labels.to_string(false)}, {"error", done.error()}});
        return true;
      }
      if (stop.stop_requested()) {
        handing_over_ = false;
        return false;
      }
      std::unique_lock lock(wait_mutex_);
      wait_.wait_for(lock, stop, pause, [] { return false; });
      pause = std::min<std::chrono::milliseconds>(pause * 2, kRetryMost);
    }
    handing_over_ = false;
    return true;
  }

  bool deliver(const Labels& labels, const std::vector<std::string>& lines, std::stop_token stop) {
    std::vector<logs::EntryRow> rows;
    std::vector<logs::LabelView> levels;
    levels.reserve(lines.size());
    // Distinct times keep the order of the lines, and equal lines apart.
    TimestampNs time = std::max(now(), last_time_ + 1);
    for (const auto& line : lines) {
      levels.push_back({"detected_level", rules_.level(line)});
      rows.push_back({.time = time++, .line = line, .metadata = std::span(&levels.back(), 1)});
    }
    last_time_ = time;
    return hand_over(labels, rows, stop);
  }

  void deliver_own(std::stop_token stop) {
    std::deque<OwnLine> lines;
    {
      std::scoped_lock lock(own_mutex_);
      lines.swap(own_);
      own_bytes_ = 0;
    }
    if (lines.empty()) return;
    std::vector<logs::EntryRow> rows;
    std::vector<logs::LabelView> levels;
    levels.reserve(lines.size());
    for (const auto& line : lines) {
      levels.push_back({"detected_level", line.level});
      rows.push_back({.time = line.time, .line = line.line, .metadata = std::span(&levels.back(), 1)});
    }
    (void)hand_over(own_labels_, rows, stop);
  }

  void save() {
    if (!changed_) return;
    if (auto done = positions_.save(); !done) {
      log::warn(kRoom, "positions were not saved", {{"error", done.error()}});
      return;
    }
    changed_ = false;
  }

  LogAgentOptions options_;
  Positions positions_;
  logs::Appender& appender_;
  LogRules rules_;
  const Clock& clock_;
  bool first_start_;
  Counter& lines_;
  Counter& bytes_;
  Counter& dropped_;
  Counter& truncations_;
  Gauge& files_gauge_;
  Gauge& lag_gauge_;
  std::vector<Tailed> tailed_;
  std::vector<FileIdentity> ended_;
  TimestampNs last_time_ = 0;
  bool changed_ = false;
  bool rescan_ = false;
  Labels own_labels_;
  std::mutex own_mutex_;
  std::deque<OwnLine> own_;
  std::size_t own_bytes_ = 0;
  TimestampNs last_own_ = 0;
  std::atomic<bool> handing_over_{false};
  std::mutex wait_mutex_;
  std::condition_variable_any wait_;
  std::jthread thread_;
};

}  // namespace

Result<std::unique_ptr<LogAgent>> LogAgent::create(LogAgentOptions options, logs::Appender& appender, LogRules rules,
                                                   Registry& registry, const Clock& clock) {
  auto positions = TRY(Positions::open(options.positions_file));
  return std::make_unique<LogAgentImpl>(std::move(options), std::move(positions), appender, std::move(rules), registry,
                                        clock);
}

}  // namespace tocayo::agent
