// SPDX-License-Identifier: Apache-2.0
// Private to logs: the collector's state. log_agent.cpp has the life and the delivery, log_reading.cpp what is
// read, log_pushed.cpp what comes by itself.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "agent/logs/file_watch.h"
#include "agent/logs/journal_reader.h"
#include "agent/logs/log_agent.h"
#include "agent/logs/log_inbox.h"
#include "agent/logs/pipeline.h"
#include "agent/logs/positions.h"
#include "agent/logs/sources.h"
#include "agent/logs/tail_file.h"
#include "agent/scrape/discovery.h"
#include "core/log.h"

namespace tocayo::agent {

class LogAgentImpl final : public LogAgent {
 public:
  LogAgentImpl(LogAgentOptions options, Positions positions, std::shared_ptr<LogSink> sink, Registry& registry,
               const Clock& clock);
  ~LogAgentImpl() override;
  void start() override;
  void apply(std::vector<LogJob> jobs, LogLimits limits) override;
  std::vector<LogSourceStatus> sources() const override;
  void stop() override;

 private:
  using SteadyClock = std::chrono::steady_clock;
  struct Tailed {
    std::uint32_t id = 0;
    TailFile file;
    std::shared_ptr<const Labels> labels;  // shared with its lines
    bool remainder = false;                // what is left of a file that was moved or copied
    bool ended = false;                    // nothing more is read; lines of it may be held by a pipeline
    SteadyClock::time_point last_read{};
    std::uint64_t lines = 0;
    TimestampMs last_line = 0;
  };
  struct JournalState {
    std::uint32_t id = 0;
    std::unique_ptr<JournalReader> reader;
    SteadyClock::time_point retry{};
    std::string cursor;                                                      // of the last entry that was read
    std::uint64_t next = 1;                                                  // number of the next entry
    std::deque<std::pair<std::uint64_t, std::string>> cursors;               // of entries that may still be held
    std::unordered_map<std::uint64_t, std::shared_ptr<const Labels>> known;  // by the hash of what they were made of
    std::uint64_t lines = 0;
    TimestampMs last_line = 0;
  };
  // Of a job that lines are pushed to.
  struct Pushed {
    ~Pushed();  // answers what is open
    std::uint32_t id = 0;
    std::shared_ptr<LogInbox> inbox;                   // shared with its listener
    std::uint64_t next = 0;                            // number of the next line
    std::deque<std::unique_ptr<LogInbox::Item>> open;  // run, not answered, in order
    std::uint64_t lines = 0;
    TimestampMs last_line = 0;
  };
  struct Job {
    LogJob config;
    std::unique_ptr<Pipeline> pipeline;
    std::vector<LogTarget> targets;
    std::vector<std::pair<std::unique_ptr<Discovery>, std::vector<TargetGroup>>> discoveries;
    std::vector<SteadyClock::time_point> look_again;
    std::vector<std::unique_ptr<Tailed>> files;
    std::unique_ptr<JournalState> journal;
    std::unique_ptr<Pushed> pushed;
  };
  struct OwnLine {
    TimestampNs time;
    std::string line;
    const char* level;
  };
  struct Inode {
    std::uint64_t device, inode;
    auto operator<=>(const Inode&) const = default;
  };

  TimestampNs now() const { return clock_.now_ms() * 1'000'000; }
  void take_own(log::Level level, std::string_view line);
  void run(std::stop_token stop);
  void recover();

  // --- log_reading.cpp ---
  void take_config();
  std::unique_ptr<Job> make_job(LogJob config);
  void refresh_targets(Job& job);
  void scan();
  void begin(Job& job, LogFile file, std::map<Inode, const Tailed*>& open);
  bool start_remainder(const Position& position);
  void find_moved();
  bool read_job(Job& job, std::stop_token stop);
  bool read_file(Job& job, Tailed& tailed);
  bool read_journal(Job& job);
  void take_line(Job& job, const std::shared_ptr<const Labels>& labels, std::uint32_t source, std::string_view text,
                 std::uint64_t begin, std::uint64_t end);
  void collect(LogLine line);
  static std::uint64_t line_start(int fd, std::uint64_t offset);

  // --- log_pushed.cpp ---
  bool read_pushed(Job& job);
  void settle_pushed(const std::map<std::uint32_t, std::uint64_t>& held, bool handed_over);
  void refuse_pushed(const Error& error);
  void admit_pushed();
  void expire_pushed();

  // --- log_agent.cpp ---
  bool round(std::stop_token stop);
  bool hand_over(std::stop_token stop);
  bool deliver(const LogMarks& marks, std::stop_token stop);
  void settle_files();
  void deliver_own();
  void save();
  void publish();

  LogAgentOptions options_;
  Positions positions_;
  PromtailPositions promtail_;
  std::shared_ptr<LogSink> sink_;  // shared with whoever changes its queues
  Registry& registry_;
  const Clock& clock_;
  bool first_start_;
  bool looked_for_moved_ = false;
  Counter &dropped_own_, &truncations_, &invalid_, &too_long_, &rate_limited_, &stream_limited_, &waits_;
  Gauge &files_gauge_, &lag_gauge_, &waiting_gauge_;
  std::size_t files_waiting_ = 0;  // for a descriptor

  std::vector<std::unique_ptr<Job>> jobs_;
  std::uint32_t next_source_ = 1, round_ = 0;
  std::vector<LogLine> batch_;
  std::size_t batch_bytes_ = 0;
  std::set<std::uint32_t> touched_;                 // sources read since the last hand-over
  std::map<std::uint32_t, std::uint64_t> held_;     // by source, where the first held line begins
  std::map<Inode, SteadyClock::time_point> ended_;  // files that are read to their end; their positions stay a while
  std::unordered_set<std::uint64_t> streams_;       // for max_streams
  double rate_tokens_ = 0;
  SteadyClock::time_point rate_at_{};
  std::uint64_t batch_number_ = 0;
  TimestampNs last_time_ = 0;
  bool changed_ = false, rescan_ = false, waiting_ = false;
  std::shared_ptr<const Labels> own_labels_;  // shared with own lines

  mutable std::mutex config_mutex_;
  std::optional<std::pair<std::vector<LogJob>, LogLimits>> next_config_;
  mutable std::mutex status_mutex_;
  std::vector<LogSourceStatus> status_;
  std::mutex own_mutex_;
  std::deque<OwnLine> own_;
  std::size_t own_bytes_ = 0;
  TimestampNs last_own_ = 0;
  std::atomic<bool> handing_over_{false};
  FileWatch watch_;
  SteadyClock::time_point scanned_{};
  std::mutex wait_mutex_;
  std::condition_variable_any wait_;
  std::jthread thread_;
};

}  // namespace tocayo::agent
