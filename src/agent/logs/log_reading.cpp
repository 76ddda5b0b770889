// SPDX-License-Identifier: Apache-2.0
// What the collector reads: which files there are, their lines, the journal's entries, into the pipelines.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "agent/logs/json_text.h"
#include "agent/logs/log_agent_impl.h"
#include "core/hash.h"

namespace tocayo::agent {

namespace {

constexpr std::string_view kRoom = "agent_logs";
constexpr std::size_t kJournalEntries = 2000;  // a round
constexpr std::size_t kKnownStreams = 5000;
constexpr auto kSilent = std::chrono::seconds(30);
constexpr auto kJournalRetry = std::chrono::seconds(10);

// A quarter of the descriptors: connections and queues need theirs too.
std::size_t most_open_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return 100'000;
  return std::max<std::size_t>(4, limit.rlim_cur / 4);
}

}  // namespace

// A new configuration, if there is one. Jobs that are as they were keep their files, pipelines and places.
void LogAgentImpl::take_config() {
  std::optional<std::pair<std::vector<LogJob>, LogLimits>> next;
  {
    std::scoped_lock lock(config_mutex_);
    next.swap(next_config_);
  }
  if (!next) return;
  options_.limits = next->second;
  std::vector<std::unique_ptr<Job>> jobs;
  for (auto& config : next->first) {
    const auto same = std::ranges::find_if(jobs_, [&](const auto& job) {
      return job != nullptr && job->config.name == config.name && job->config.fingerprint == config.fingerprint &&
             config.fingerprint != 0;
    });
    jobs.push_back(same != jobs_.end() ? std::move(*same) : make_job(std::move(config)));
  }
  // What the others hold goes out as it is. It is handed over before their places are forgotten.
  bool closed = false;
  for (auto& job : jobs_) {
    if (job == nullptr) continue;
    job->pipeline->flush();
    closed = true;
  }
  if (closed) {
    std::erase(jobs_, nullptr);
    for (auto& job : jobs) jobs_.push_back(std::move(job));
    hand_over(thread_.get_stop_token());
    std::vector<std::unique_ptr<Job>> kept;
    for (std::size_t i = jobs_.size() - jobs.size(); i < jobs_.size(); ++i) kept.push_back(std::move(jobs_[i]));
    jobs_ = std::move(kept);
    save();
  } else {
    jobs_ = std::move(jobs);
  }
  held_.clear();
  for (auto& job : jobs_) {
    job->pipeline->held(held_);
    if (job->pushed) job->pushed->inbox->set_max_line(options_.limits.truncate ? 0 : options_.limits.max_line_size);
  }
  rescan_ = true;
  looked_for_moved_ = false;
}

std::unique_ptr<LogAgentImpl::Job> LogAgentImpl::make_job(LogJob config) {
  auto job = std::make_unique<Job>();
  job->config = std::move(config);
  PipelineClocks clocks;
  clocks.wall = [this] { return now(); };
  job->pipeline = std::make_unique<Pipeline>(
      job->config.pipeline, job->config.name, registry_, [this](LogLine line) { collect(std::move(line)); },
      std::move(clocks));
  if (!job->config.file_discovery.empty() && options_.client != nullptr) {
    ScrapeConfig scrape;
    scrape.job_name = job->config.name;
    scrape.file_discovery = job->config.file_discovery;
    for (auto& discovery : make_discoveries(scrape, *options_.client))
      job->discoveries.emplace_back(std::move(discovery), std::vector<TargetGroup>());
    job->look_again.resize(job->discoveries.size());
  }
  if (job->config.journal) {
    job->journal = std::make_unique<JournalState>();
    job->journal->id = next_source_++;
  }
  if (job->config.inbox) {
    job->pushed = std::make_unique<Pushed>();
    job->pushed->id = next_source_++;
    job->pushed->inbox = job->config.inbox;
    job->pushed->inbox->attach([this] { watch_.wake(); });
  }
  refresh_targets(*job);
  return job;
}

void LogAgentImpl::refresh_targets(Job& job) {
  std::vector<TargetGroup> groups;
  for (std::size_t i = 0; i < job.discoveries.size(); ++i) {
    auto& [discovery, found] = job.discoveries[i];
    if (SteadyClock::now() >= job.look_again[i] || discovery->changed()) {
      job.look_again[i] = SteadyClock::now() + discovery->interval();
      if (auto looked = discovery->look(Context()))
        found = std::move(*looked);
      else
        log::warn(kRoom, "a discovery failed", {{"job", job.config.name}, {"error", looked.error()}});
    }
    groups.insert(groups.end(), found.begin(), found.end());
  }
  job.targets = targets_of(job.config, groups, options_.host);
}

void LogAgentImpl::scan() {
  files_waiting_ = 0;
  std::map<Inode, const Tailed*> open;
  for (const auto& job : jobs_) {
    for (const auto& tailed : job->files)
      open[{tailed->file.identity().device, tailed->file.identity().inode}] = tailed.get();
  }
  for (auto& job : jobs_) {
    if (job->journal || job->pushed) continue;
    if (!job->discoveries.empty()) refresh_targets(*job);
    for (auto& file : files_of(job->config, job->targets, options_.host)) begin(*job, std::move(file), open);
  }
  if (!std::exchange(looked_for_moved_, true)) find_moved();
  first_start_ = false;
  promtail_ = {};
  waiting_gauge_.set(static_cast<double>(files_waiting_));
  std::set<std::string> files;
  std::set<std::string> directories;
  for (const auto& job : jobs_) {
    for (const auto& tailed : job->files) files.insert(tailed->file.path());
    for (const auto& target : job->targets) {
      // The last directory without a wild card: what appears there is read at once.
      const std::string fixed = target.pattern.substr(0, target.pattern.find_first_of("*?[{"));
      if (const auto slash = fixed.rfind('/'); slash != std::string::npos && slash > 0) {
        directories.insert(fixed.substr(0, slash));
      }
    }
  }
  watch_.follow(files, std::move(directories));
  scanned_ = SteadyClock::now();
}

void LogAgentImpl::begin(Job& job, LogFile found, std::map<Inode, const Tailed*>& open) {
  struct stat status{};
  if (::stat(found.path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return;
  const Inode inode{status.st_dev, status.st_ino};
  if (open.contains(inode)) return;
  if (open.size() >= most_open_files()) {
    ++files_waiting_;
    return;
  }
  TailOptions tail;
  tail.compression = job.config.compression;
  tail.encoding = job.config.encoding;
  if (job.config.initial_delay.count() > 0 &&
      clock_.now_ms() - static_cast<TimestampMs>(status.st_mtim.tv_sec) * 1000 < job.config.initial_delay.count())
    return;
  const int fd = ::open(found.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return;  // not allowed, or gone: the next scan tries again
  std::uint64_t offset = 0;
  const auto position = positions_.find(fd);
  if (const auto ended = ended_.find(inode);
      ended != ended_.end() && position &&
      (tail.compression != Compression::none || position->offset == static_cast<std::uint64_t>(status.st_size))) {
    ended->second = SteadyClock::now();  // read, and still there
    ::close(fd);
    return;
  }
  if (position) {
    offset = position->offset;
  } else if (const Position* other = positions_.find(FileIdentity{.device = inode.device, .inode = inode.inode});
             other != nullptr && other->path == found.path && other->offset > 0) {
    // Cut and written anew while nobody looked: what was not read may be in a copy.
    Position copy = *other;
    copy.file.inode = 0;
    (void)start_remainder(copy);
  } else if (const auto theirs = promtail_.files.find(found.path); theirs != promtail_.files.end()) {
    offset = theirs->second;
  } else if (first_start_ && options_.first_bytes > 0 && tail.compression == Compression::none) {
    const auto size = ::lseek(fd, 0, SEEK_END);
    if (size > static_cast<off_t>(options_.first_bytes))
      offset = line_start(fd, static_cast<std::uint64_t>(size) - options_.first_bytes);
  }
  ::close(fd);
  auto file = TailFile::open(found.path, offset, std::move(tail));
  if (!file) return;
  ended_.erase(inode);
  auto tailed = std::make_unique<Tailed>(Tailed{.id = next_source_++,
                                                .file = std::move(*file),
                                                .labels = std::make_shared<const Labels>(std::move(found.labels)),
                                                .last_read = SteadyClock::now()});
  open[inode] = tailed.get();
  job.files.push_back(std::move(tailed));
}

// Where the first whole line at or after `offset` begins.
std::uint64_t LogAgentImpl::line_start(int fd, std::uint64_t offset) {
  char buffer[4096];
  const auto got = ::pread(fd, buffer, sizeof buffer, static_cast<off_t>(offset));
  if (got <= 0) return offset;
  const std::string_view text(buffer, static_cast<std::size_t>(got));
  const auto end = text.find('\n');
  return end == std::string_view::npos ? offset : offset + end + 1;
}

// Files that were rotated while nobody looked: what was not read of them is somewhere else now.
void LogAgentImpl::find_moved() {
  std::set<Inode> open;
  for (const auto& job : jobs_) {
    for (const auto& tailed : job->files) open.insert({tailed->file.identity().device, tailed->file.identity().inode});
  }
  for (const Position& position : positions_.all()) {
    const Inode inode{position.file.device, position.file.inode};
    if (open.contains(inode) || ended_.contains(inode)) continue;
    ended_[inode] = SteadyClock::now();  // forgotten some day, unless it is found
    (void)start_remainder(position);
  }
}

// Reads what is left of a file behind `position`, wherever it is. False: it is not found.
bool LogAgentImpl::start_remainder(const Position& position) {
  for (auto& job : jobs_) {
    auto labels = labels_of_path(job->config, job->targets, options_.host, position.path);
    if (!labels) continue;
    const auto found = find_remainder(position);
    if (!found) return false;
    TailOptions tail;
    tail.compression = found->compression;
    tail.once = !found->same_inode;
    tail.encoding = job->config.encoding;
    auto file = TailFile::open(found->path, position.offset, std::move(tail));
    if (!file) return false;
    // Its place is kept under the name that the positions know, so that it is not read twice. Inode 0: that name is a
    // file's that took its place.
    if (!found->same_inode && position.file.inode != 0) file->stand_for(position.file);
    log::info(kRoom, "reading the rest of a rotated file", {{"path", position.path}, {"found", found->path}});
    job->files.push_back(std::make_unique<Tailed>(Tailed{.id = next_source_++,
                                                         .file = std::move(*file),
                                                         .labels = std::make_shared<const Labels>(std::move(*labels)),
                                                         .remainder = true,
                                                         .last_read = SteadyClock::now()}));
    return true;
  }
  return false;
}

bool LogAgentImpl::read_job(Job& job, std::stop_token stop) {
  bool more = false;
  if (job.journal) more = read_journal(job);
  if (job.pushed) more = read_pushed(job);
  // By place: a file that is cut makes another one, of what was copied of it.
  for (std::size_t i = 0; i < job.files.size(); ++i) {
    Tailed& tailed = *job.files[i];
    if (tailed.ended) continue;
    // Files that are silent for long are looked at in every fourth round only.
    if (round_ % 4 != tailed.id % 4 && SteadyClock::now() - tailed.last_read > kSilent && !stop.stop_requested())
      continue;
    more = read_file(job, tailed) || more;
    if (batch_bytes_ >= options_.batch_bytes && !hand_over(stop)) return false;
    if (job.pipeline->full()) break;
  }
  if (batch_bytes_ >= options_.batch_bytes && !hand_over(stop)) return false;
  return more;
}

bool LogAgentImpl::read_file(Job& job, Tailed& tailed) {
  TailFile& file = tailed.file;
  const auto truncations = file.truncations();
  // Asked before reading: what is written between the two is read in the next round.
  const bool gone = file.moved();
  const auto line = [&](std::string_view text, std::uint64_t begin, std::uint64_t end) {
    ++tailed.lines;
    tailed.last_line = clock_.now_ms();
    take_line(job, tailed.labels, tailed.id, text, begin, end);
  };
  const auto before = file.offset();
  const auto now = SteadyClock::now();
  auto taken = file.read(options_.batch_bytes, now, line);
  if (file.truncations() != truncations) {
    truncations_.add();
    // copytruncate: what was written between the last reading and the cut is in the copy.
    const Position cut{.file = file.cut_identity(), .path = file.path(), .offset = file.cut_offset()};
    if (cut.offset > 0) {
      Position copy = cut;
      copy.file.inode = 0;  // of another file than this one
      (void)start_remainder(copy);
    }
  }
  if (taken && *taken > 0) tailed.last_read = now;
  const bool idle = !taken || *taken == 0;
  if (!taken) log::warn(kRoom, "a file cannot be read", {{"path", file.path()}, {"error", taken.error()}});
  const bool quiet = now - tailed.last_read >= options_.linger;
  // A file whose path leads elsewhere by now may be written to for a while.
  if (gone && !tailed.remainder && !std::exchange(tailed.remainder, true)) rescan_ = true;
  if (idle && (file.complete() || !taken || ((gone || tailed.remainder) && quiet))) {
    file.finish(line);
    tailed.ended = true;
  }
  if (file.offset() != before || file.truncations() != truncations || tailed.ended) touched_.insert(tailed.id);
  return taken && *taken >= options_.batch_bytes;
}

bool LogAgentImpl::read_journal(Job& job) {
  JournalState& state = *job.journal;
  const JournalSettings& settings = *job.config.journal;
  const auto at = SteadyClock::now();
  if (state.reader == nullptr) {
    if (at < state.retry) return false;
    if (state.cursor.empty()) state.cursor = positions_.cursor(job.config.name);
    auto opened = JournalReader::open(settings, state.cursor, now());
    if (!opened) {
      if (state.retry == SteadyClock::time_point{})
        log::warn(kRoom, "the journal cannot be read", {{"job", job.config.name}, {"error", opened.error()}});
      state.retry = at + kJournalRetry;
      return false;
    }
    state.reader = std::move(*opened);
  }
  auto count = state.reader->read(kJournalEntries, [&](JournalEntry entry) {
    state.cursor = entry.cursor;
    const auto number = state.next++;
    state.cursors.emplace_back(number, entry.cursor);
    touched_.insert(state.id);
    auto text = journal_text(entry, settings);
    if (!text) return;
    auto labels = journal_labels(entry, settings);
    // Most fields differ from entry to entry, and most rules look at few of them.
    std::uint64_t key = 0;
    for (const auto& rule : job.config.relabel) {
      for (const auto& name : rule.source_labels) key = hash64(labels.get(name), key + 1);
    }
    const bool simple = std::ranges::all_of(job.config.relabel, [](const RelabelRule& rule) {
      return rule.action == RelabelRule::Action::replace || rule.action == RelabelRule::Action::keep ||
             rule.action == RelabelRule::Action::drop;
    });
    std::shared_ptr<const Labels> shown;
    if (const auto known = state.known.find(key); simple && known != state.known.end()) {
      shown = known->second;
    } else {
      if (relabel(labels, job.config.relabel)) shown = std::make_shared<const Labels>(without_hidden(labels));
      if (state.known.size() >= kKnownStreams) state.known.clear();
      if (simple) state.known[key] = shown;
    }
    if (shown == nullptr || shown->empty()) return;
    if (!is_valid_utf8(*text)) {
      invalid_.add();
      *text = valid_text(*text);
    }
    ++state.lines;
    state.last_line = entry.time / 1'000'000;
    LogLine line;
    line.labels = shown;
    line.time = entry.time;
    line.text = std::move(*text);
    line.origin = {state.id, number, number + 1};
    job.pipeline->take(std::move(line));
  });
  if (!count) {
    log::warn(kRoom, "reading the journal failed", {{"job", job.config.name}, {"error", count.error()}});
    state.reader.reset();
    state.retry = at + kJournalRetry;
    return false;
  }
  return *count >= kJournalEntries;
}

void LogAgentImpl::take_line(Job& job, const std::shared_ptr<const Labels>& labels, std::uint32_t source,
                             std::string_view text, std::uint64_t begin, std::uint64_t end) {
  LogLine line;
  line.labels = labels;
  // Distinct times keep the order of the lines, and equal lines apart.
  last_time_ = std::max(now(), last_time_ + 1);
  line.time = last_time_;
  line.text = text;
  line.origin = {source, begin, end};
  job.pipeline->take(std::move(line));
}

// A line that came through its pipeline.
void LogAgentImpl::collect(LogLine line) {
  const LogLimits& limits = options_.limits;
  if (limits.max_line_size > 0 && line.text.size() > limits.max_line_size) {
    if (!limits.truncate) return too_long_.add();
    line.text.resize(limits.max_line_size);
  }
  if (limits.max_streams > 0) {
    const auto stream = line.labels->hash();
    if (!streams_.contains(stream)) {
      if (streams_.size() >= static_cast<std::size_t>(limits.max_streams)) return stream_limited_.add();
      streams_.insert(stream);
    }
  }
  if (limits.rate > 0) {
    for (;;) {
      const auto at = SteadyClock::now();
      const auto burst = static_cast<double>(limits.burst);
      rate_tokens_ =
          rate_at_ == SteadyClock::time_point{}
              ? burst
              : std::min(burst, rate_tokens_ + std::chrono::duration<double>(at - rate_at_).count() * limits.rate);
      rate_at_ = at;
      if (rate_tokens_ >= 1) break;
      if (limits.rate_drop) return rate_limited_.add();
      std::unique_lock lock(wait_mutex_);
      const std::chrono::duration<double> missing((1 - rate_tokens_) / limits.rate);
      wait_.wait_for(lock, thread_.get_stop_token(), missing, [] { return false; });
      if (thread_.get_stop_token().stop_requested()) break;
    }
    rate_tokens_ -= 1;
  }
  batch_bytes_ += line.text.size() + 64;
  batch_.push_back(std::move(line));
}

}  // namespace tocayo::agent
