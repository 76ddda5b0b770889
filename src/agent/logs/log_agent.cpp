// SPDX-License-Identifier: Apache-2.0
// The collector's life, and what it does with lines that came through the pipelines.
#include "agent/logs/log_agent.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "agent/logs/json_text.h"
#include "agent/logs/log_agent_impl.h"
#include "core/text.h"

namespace tocayo::agent {

namespace {

constexpr std::string_view kRoom = "agent_logs";
constexpr std::size_t kOwnBytes = 4 << 20;
constexpr auto kSaveEvery = std::chrono::seconds(1);
constexpr auto kRetryFirst = std::chrono::milliseconds(100);
constexpr auto kRetryMost = std::chrono::seconds(5);
constexpr auto kForgetAfter = std::chrono::hours(24);
constexpr std::size_t kShownFiles = 1000;  // with series of their own

Counter& dropped(Registry& registry, const char* reason) {
  return registry.counter("tocayo_agent_dropped_total", "Rows that will not reach the destination.",
                          {{"destination", "local"}, {"signal", "logs"}, {"reason", reason}});
}

}  // namespace

LogAgentImpl::LogAgentImpl(LogAgentOptions options, Positions positions, std::shared_ptr<LogSink> sink,
                           Registry& registry, const Clock& clock)
    : options_(std::move(options)),
      positions_(std::move(positions)),
      sink_(std::move(sink)),
      registry_(registry),
      clock_(clock),
      first_start_(positions_.fresh()),
      dropped_own_(dropped(registry, "own_lines_over_memory")),
      truncations_(registry.counter("tocayo_agent_log_truncations_total", "Files that were cut while they were read.")),
      invalid_(registry.counter("tocayo_agent_log_invalid_text_total",
                                "Journal entries in which bytes that are no UTF-8 were replaced.")),
      too_long_(dropped(registry, "line_too_long")),
      rate_limited_(dropped(registry, "rate_limited")),
      stream_limited_(dropped(registry, "stream_limit")),
      waits_(registry.counter("tocayo_agent_log_waits_total",
                              "Times that reading waited because lines could not be handed over.")),
      files_gauge_(registry.gauge("tocayo_agent_log_files", "Files that are read.")),
      lag_gauge_(registry.gauge("tocayo_agent_log_lag_bytes", "Bytes in these files that are not read yet.")),
      waiting_gauge_(
          registry.gauge("tocayo_agent_log_files_waiting", "Files that are not read because too many are open.")) {
  if (options_.host.empty()) options_.host = machine_name();
  Labels own{{"host", options_.host}, {"job", options_.own_job}};
  own.set("service_name", "tocayo");
  own_labels_ = std::make_shared<const Labels>(std::move(own));
  if (options_.own_lines) {
    log::set_sink([this](log::Level level, std::string_view line) { take_own(level, line); });
  }
  next_config_.emplace(options_.jobs, options_.limits);
  registry_.add_collector(this, [this](std::vector<Registry::Family>& families) {
    Registry::Family lag{
        "tocayo_agent_log_file_lag_bytes", "Bytes of a file that are not read yet.", MetricType::gauge, {}};
    Registry::Family read{"tocayo_agent_log_file_lines_total", "Lines read of a file.", MetricType::counter, {}};
    for (const auto& source : sources()) {
      if (lag.samples.size() >= kShownFiles) break;
      const Labels labels{{"job", source.job}, {"path", valid_text(source.path)}};
      lag.samples.push_back({"", labels, static_cast<double>(source.lag_bytes)});
      read.samples.push_back({"", labels, static_cast<double>(source.lines)});
    }
    if (lag.samples.empty()) return;
    families.push_back(std::move(lag));
    families.push_back(std::move(read));
  });
}

LogAgentImpl::~LogAgentImpl() {
  stop();
  registry_.remove_collectors(this);
}

void LogAgentImpl::start() {
  thread_ = std::jthread([this](std::stop_token stop) {
    ::pthread_setname_np(::pthread_self(), "agent-logs");
    run(stop);
  });
}

void LogAgentImpl::stop() {
  if (options_.own_lines) log::set_sink({});
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_ = {};
}

void LogAgentImpl::apply(std::vector<LogJob> jobs, LogLimits limits) {
  std::scoped_lock lock(config_mutex_);
  next_config_.emplace(std::move(jobs), limits);
}

std::vector<LogSourceStatus> LogAgentImpl::sources() const {
  std::scoped_lock lock(status_mutex_);
  return status_;
}

// On whatever thread logs.
void LogAgentImpl::take_own(log::Level level, std::string_view line) {
  // Lines about failing to hand over lines would feed themselves.
  if (handing_over_ && std::this_thread::get_id() == thread_.get_id()) return;
  static constexpr const char* kNames[] = {"debug", "info", "warn", "error"};
  std::scoped_lock lock(own_mutex_);
  own_.push_back(
      {.time = std::max(now(), last_own_ + 1), .line = std::string(line), .level = kNames[static_cast<int>(level)]});
  last_own_ = own_.back().time;
  own_bytes_ += line.size();
  while (own_bytes_ > kOwnBytes) {
    own_bytes_ -= own_.front().line.size();
    own_.pop_front();
    dropped_own_.add();
  }
}

// What was put into the sink after the positions were last written counts as read.
void LogAgentImpl::recover() {
  batch_number_ = sink_->recover(positions_.batch(), [&](const LogMarks& marks) {
    for (const auto& mark : marks) (void)positions_.apply(mark);
    changed_ = true;
  });
  batch_number_ = std::max(batch_number_, positions_.batch());
  if (!options_.promtail_positions.empty() && positions_.fresh()) {
    auto text = tocayo::read_file(options_.promtail_positions);
    auto parsed = text ? parse_promtail_positions(*text, options_.promtail_positions)
                       : Result<PromtailPositions>(std::unexpected(text.error()));
    if (parsed) {
      promtail_ = std::move(*parsed);
      for (const auto& [job, cursor] : promtail_.cursors) positions_.set_cursor(job, cursor);
      first_start_ = false;
    } else if (text || text.error().kind != ErrorKind::not_found) {
      log::warn(kRoom, "promtail's positions were not read", {{"error", parsed.error()}});
    }
  }
}

void LogAgentImpl::run(std::stop_token stop) {
  recover();
  auto next_scan = SteadyClock::now();
  auto next_save = SteadyClock::now() + kSaveEvery;
  while (!stop.stop_requested()) {
    take_config();
    const auto at = SteadyClock::now();
    if (at >= next_scan || std::exchange(rescan_, false)) {
      scan();
      next_scan = at + options_.rescan;
    }
    const bool more = round(stop);
    if (at >= next_save) {
      save();
      publish();
      next_save = at + kSaveEvery;
    }
    if (more) continue;
    // Names that changed are looked at soon, but not for each of many.
    constexpr std::chrono::milliseconds kScanAgain{200};
    const auto due = std::chrono::ceil<std::chrono::milliseconds>(next_scan - SteadyClock::now());
    const auto most = std::max(std::min(due, options_.poll), std::chrono::milliseconds(1));
    if (watch_.wait(most, stop) == FileWatch::Woken::names) {
      next_scan = std::min(next_scan, scanned_ + kScanAgain);
    }
  }
  // What was written up to now, in one attempt; held lines go as they are.
  std::stop_source ended;
  ended.request_stop();
  // A batch that was tried before must stay as it is: some of the sink's queues may have it.
  if (batch_.empty()) {
    round(ended.get_token());
    if (batch_.empty()) {
      for (auto& job : jobs_) job->pipeline->flush();
      hand_over(ended.get_token());
    }
  } else {
    hand_over(ended.get_token());
  }
  save();
  publish();
  jobs_.clear();  // what was pushed and not handed over is refused
}

// Reads and hands over once; true when there is more.
bool LogAgentImpl::round(std::stop_token stop) {
  bool more = false;
  ++round_;
  for (auto& job : jobs_) {
    job->pipeline->expire();
    if (job->pipeline->full()) continue;
    more = read_job(*job, stop) || more;
    if (waiting_) break;
  }
  deliver_own();
  if (!waiting_) hand_over(stop);
  settle_files();
  expire_pushed();
  if (std::exchange(waiting_, false)) return false;
  return more;
}

// Gives the sink what came through the pipelines and notes how far its sources are done with. False: not now, and told
// to stop; then nothing of the batch is done.
bool LogAgentImpl::hand_over(std::stop_token stop) {
  std::map<std::uint32_t, std::uint64_t> held;
  for (auto& job : jobs_) job->pipeline->held(held);
  for (const auto& [source, begin] : held_) touched_.insert(source);
  LogMarks marks;
  std::vector<Position> files;
  std::vector<std::pair<std::string, std::string>> cursors;
  if (!touched_.empty()) {
    for (auto& job : jobs_) {
      for (const auto& tailed : job->files) {
        if (!touched_.contains(tailed->id)) continue;
        Position position{
            .file = tailed->file.identity(), .path = tailed->file.path(), .offset = tailed->file.offset()};
        if (const auto first = held.find(tailed->id); first != held.end())
          position.offset = std::min(position.offset, first->second);
        marks.push_back(Positions::mark(position));
        files.push_back(std::move(position));
      }
      if (!job->journal || !touched_.contains(job->journal->id)) continue;
      // The entry before the first that is held.
      auto& journal = *job->journal;
      const auto first = held.find(journal.id);
      const auto safe = first == held.end() ? journal.next : first->second;
      std::string cursor;
      while (!journal.cursors.empty() && journal.cursors.front().first < safe) {
        cursor = std::move(journal.cursors.front().second);
        journal.cursors.pop_front();
      }
      if (cursor.empty()) continue;
      marks.push_back(Positions::mark(job->config.name, cursor));
      cursors.emplace_back(job->config.name, std::move(cursor));
    }
  }
  if (!batch_.empty() && !deliver(marks, stop)) return false;
  changed_ = changed_ || !touched_.empty() || !batch_.empty();
  settle_pushed(held, !batch_.empty());
  batch_.clear();
  batch_bytes_ = 0;
  touched_.clear();
  held_ = std::move(held);
  for (auto& position : files) positions_.set(std::move(position));
  for (auto& [job, cursor] : cursors) positions_.set_cursor(job, std::move(cursor));
  positions_.set_batch(batch_number_);
  return true;
}

// Waits until the sink took the batch; false when told to stop meanwhile.
bool LogAgentImpl::deliver(const LogMarks& marks, std::stop_token stop) {
  std::chrono::milliseconds pause = kRetryFirst;
  handing_over_ = true;
  bool refused = false;
  for (;;) {
    auto done = sink_->put(batch_number_ + 1, marks, batch_);
    if (done) break;
    if (!std::exchange(refused, true)) {
      refuse_pushed(done.error());
      if (batch_.empty()) {
        handing_over_ = false;
        admit_pushed();
        return true;
      }
    }
    expire_pushed();
    if (stop.stop_requested()) {
      handing_over_ = false;
      waiting_ = true;
      return false;
    }
    waits_.add();
    publish();
    std::unique_lock lock(wait_mutex_);
    wait_.wait_for(lock, stop, pause, [] { return false; });
    pause = std::min<std::chrono::milliseconds>(pause * 2, kRetryMost);
  }
  handing_over_ = false;
  if (refused) admit_pushed();
  ++batch_number_;
  return true;
}

// Files that have ended and of which nothing is held any more are closed.
void LogAgentImpl::settle_files() {
  for (auto& job : jobs_) {
    std::erase_if(job->files, [&](const auto& tailed) {
      if (!tailed->ended || held_.contains(tailed->id) || touched_.contains(tailed->id)) return false;
      const auto& file = tailed->file.identity();
      ended_[{file.device, file.inode}] = SteadyClock::now();
      rescan_ = rescan_ || !tailed->file.complete();  // what took its place
      changed_ = true;
      return true;
    });
  }
}

void LogAgentImpl::deliver_own() {
  std::deque<OwnLine> lines;
  {
    std::scoped_lock lock(own_mutex_);
    lines.swap(own_);
    own_bytes_ = 0;
  }
  for (auto& own : lines) {
    LogLine line;
    line.labels = own_labels_;
    line.time = own.time;
    line.text = std::move(own.line);
    line.metadata = {{"detected_level", own.level}};
    collect(std::move(line));
  }
}

void LogAgentImpl::save() {
  // Positions of files that are gone, or were moved to where nobody looks, are not kept for ever.
  const auto now = SteadyClock::now();
  for (auto at = ended_.begin(); at != ended_.end();) {
    if (now - at->second < kForgetAfter) {
      ++at;
      continue;
    }
    positions_.forget({.device = at->first.device, .inode = at->first.inode});
    at = ended_.erase(at);
    changed_ = true;
  }
  if (!changed_) return;
  if (auto done = positions_.save(); !done) {
    log::warn(kRoom, "positions were not saved", {{"error", done.error()}});
    return;
  }
  sink_->remembered(positions_.batch());
  changed_ = false;
}

void LogAgentImpl::publish() {
  std::vector<LogSourceStatus> all;
  std::uint64_t lag = 0;
  std::size_t files = 0;
  for (const auto& job : jobs_) {
    for (const auto& tailed : job->files) {
      LogSourceStatus status;
      status.job = job->config.name;
      status.path = tailed->file.path();
      status.labels = *tailed->labels;
      status.offset = tailed->file.offset();
      status.size = tailed->file.size();
      status.lag_bytes = tailed->file.lag();
      status.lines = tailed->lines;
      status.last_line = tailed->last_line;
      lag += status.lag_bytes;
      ++files;
      all.push_back(std::move(status));
    }
    if (job->pushed) {
      LogSourceStatus status;
      status.job = job->config.name;
      status.path = "pushed to " + job->config.push->address();
      status.labels = job->config.push->labels;
      status.lines = job->pushed->lines;
      status.last_line = job->pushed->last_line;
      all.push_back(std::move(status));
    }
    if (!job->journal) continue;
    LogSourceStatus status;
    status.job = job->config.name;
    status.path = job->config.journal->path.empty() ? "journal" : job->config.journal->path;
    status.labels = job->config.journal->labels;
    status.cursor = job->journal->cursor;
    status.lines = job->journal->lines;
    status.last_line = job->journal->last_line;
    all.push_back(std::move(status));
  }
  files_gauge_.set(static_cast<double>(files));
  lag_gauge_.set(static_cast<double>(lag));
  std::scoped_lock lock(status_mutex_);
  status_ = std::move(all);
}

Result<std::unique_ptr<LogAgent>> LogAgent::create(LogAgentOptions options, std::shared_ptr<LogSink> sink,
                                                   Registry& registry, const Clock& clock) {
  auto positions = TRY(Positions::open(options.positions_file));
  const std::string host = options.host.empty() ? machine_name() : options.host;
  for (const auto& files : options.files) {
    LogJob job;
    job.name = files.labels.has("job") ? std::string(files.labels.get("job")) : "files";
    for (const auto& pattern : files.globs) {
      Labels target = files.labels;
      target.set("host", host);
      target.set("__path__", pattern);
      if (!files.exclude.empty()) {
        std::string exclude = "{";
        for (const auto& one : files.exclude) exclude += (exclude.size() > 1 ? "," : "") + one;
        target.set("__path_exclude__", exclude + "}");
      }
      job.targets.push_back(std::move(target));
    }
    options.jobs.push_back(std::move(job));
  }
  return std::make_unique<LogAgentImpl>(std::move(options), std::move(positions), std::move(sink), registry, clock);
}

Result<std::unique_ptr<LogAgent>> LogAgent::create(LogAgentOptions options, logs::Appender& appender, LogRules rules,
                                                   Registry& registry, const Clock& clock) {
  std::shared_ptr<LogSink> sink = store_sink(appender, std::move(rules), options.tenant, registry);
  return create(std::move(options), std::move(sink), registry, clock);
}

}  // namespace tocayo::agent
