// SPDX-License-Identifier: Apache-2.0
#include "metrics/api/sequence.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "core/hash.h"
#include "core/log.h"
#include "core/text.h"
#include "metrics/api/handlers.h"

namespace tocayo::metrics::api {
namespace {

constexpr std::string_view kHeader = "X-Tocayo-Sequence";
constexpr std::string_view kGapHeader = "X-Tocayo-Gap";
constexpr std::size_t kMaxQueues = 65'536;  // of all tenants; beyond it the one that sent longest ago goes
constexpr std::uint32_t kMaxLane = 4095;
constexpr std::size_t kMaxGaps = 64;  // of one request
constexpr std::int64_t kForgetAfter = 30LL * 24 * 3600;
constexpr std::size_t kRewriteLines = 10'000;
constexpr std::size_t kMaxFile = 256u << 20;

bool is_hex(std::string_view text, std::size_t least, std::size_t most) {
  return text.size() >= least && text.size() <= most &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

template <typename T>
bool number(std::string_view text, T& out, int base = 10) {
  auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return bad == std::errc() && end == text.data() + text.size() && !text.empty();
}

// Calls `take(name, value)` for each "name=value" between semicolons; false when it, or the form, says no.
template <typename Take>
Result<> each_field(std::string_view header, std::string_view text, Take take) {
  for (std::string_view part : split(text, ';')) {
    part = trim(part);
    auto equals = part.find('=');
    if (equals == std::string_view::npos || !take(part.substr(0, equals), part.substr(equals + 1)))
      return fail(ErrorKind::bad_input, fmt::format("{}: cannot read \"{}\"", header, part.substr(0, 80)));
  }
  return {};
}

// A word of a report: becomes a label of an event.
bool is_word(std::string_view text) {
  return !text.empty() && text.size() <= 255 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f && c != ';'; });
}

std::string line_of(std::string_view tenant, std::string_view queue, std::uint64_t window, std::uint64_t nonce,
                    std::uint32_t lane, std::uint64_t end, std::int64_t used) {
  std::string body = fmt::format("s1 {} {} {} {:016x} {} {} {}", tenant, queue, window, nonce, lane, end, used);
  return fmt::format("{} {:08x}\n", body, crc32c(body));
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n >= 0)
      bytes.remove_prefix(static_cast<std::size_t>(n));
    else if (errno != EINTR)
      return false;
  }
  return true;
}

}  // namespace

Result<BatchSequence> parse_sequence(std::string_view header) {
  BatchSequence batch;
  unsigned seen = 0;
  TRY(each_field(kHeader, header, [&](std::string_view name, std::string_view value) {
    if (name == "queue" && is_hex(value, 32, 32)) {
      batch.queue = value;
      seen |= 1;
      return true;
    }
    if (name == "window" && number(value, batch.window)) return seen |= 2, true;
    if (name == "nonce" && value.size() == 16 && number(value, batch.nonce, 16)) return seen |= 4, true;
    if (name == "lane" && number(value, batch.lane) && batch.lane <= kMaxLane) return seen |= 8, true;
    if (name == "begin" && number(value, batch.begin)) return seen |= 16, true;
    if (name == "end" && number(value, batch.end)) return seen |= 32, true;
    return false;
  }));
  if (seen != 63 || batch.begin >= batch.end)
    return fail(ErrorKind::bad_input, fmt::format("{}: needs queue, window, nonce, lane, begin and end", kHeader));
  return batch;
}

Result<CollectorGap> parse_gap(std::string_view header) {
  CollectorGap gap;
  TRY(each_field(kGapHeader, header, [&](std::string_view name, std::string_view value) {
    if (name == "rows") return number(value, gap.rows);
    if (name == "from") return number(value, gap.from);
    if (name == "to") return number(value, gap.to);
    std::string* word = name == "id"       ? &gap.id
                        : name == "signal" ? &gap.signal
                        : name == "reason" ? &gap.reason
                        : name == "host"   ? &gap.host
                                           : nullptr;
    if (word == nullptr || !is_word(value)) return false;
    *word = value;
    return true;
  }));
  if (gap.id.empty() || gap.signal.empty() || gap.reason.empty() || gap.rows == 0 || gap.to < gap.from)
    return fail(ErrorKind::bad_input, fmt::format("{}: needs id, signal, reason, rows, from and to", kGapHeader));
  return gap;
}

SequenceLog::SequenceLog(std::string path, const Clock& clock, Registry& registry)
    : path_(std::move(path)),
      clock_(clock),
      repeated_(registry.counter("tocayo_metrics_api_repeated_batches_total",
                                 "Write requests of collectors that had been acknowledged before.")),
      behind_(registry.counter("tocayo_metrics_api_behind_batches_total",
                               "Write requests of collectors that were put back to an older state.")),
      queues_gauge_(
          registry.gauge("tocayo_metrics_api_collector_queues", "Queues of collectors whose requests are numbered.")) {}

SequenceLog::~SequenceLog() {
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
  }
  if (fd_ >= 0) {
    if (dirty_) (void)::fdatasync(fd_);
    ::close(fd_);
  }
}

Result<std::unique_ptr<SequenceLog>> SequenceLog::open(std::string path, const Clock& clock, Registry& registry) {
  std::unique_ptr<SequenceLog> log(new SequenceLog(std::move(path), clock, registry));
  TRY(log->load());
  log->thread_ = std::jthread([raw = log.get()](std::stop_token stop) { raw->run(stop); });
  return log;
}

Result<> SequenceLog::load() {
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (fd_ < 0) return std::unexpected(error_from_errno("open " + path_, errno));
  std::string text = TRY(read_file(path_, kMaxFile));
  std::size_t damaged = 0;
  for (std::string_view line : split(text, '\n')) {
    if (line.empty()) continue;
    ++file_lines_;
    auto space = line.rfind(' ');
    std::uint32_t crc = 0;
    if (space == std::string_view::npos || !number(line.substr(space + 1), crc, 16) ||
        crc != crc32c(line.substr(0, space))) {
      ++damaged;
      continue;
    }
    apply(line.substr(0, space));
  }
  torn_ = !text.empty() && text.back() != '\n';
  if (damaged > 0)
    log::warn("metrics_api", "skipped damaged lines of the collectors' sequences",
              {{"file", path_}, {"lines", damaged}});
  forget_old();
  if (file_lines_ > kRewriteLines && file_lines_ > 4 * live_lines_) TRY(rewrite());
  queues_gauge_.set(static_cast<double>(queues_.size()));
  return {};
}

void SequenceLog::apply(std::string_view line) {
  auto fields = split(line, ' ');
  std::uint64_t window = 0, nonce = 0, end = 0;
  std::uint32_t lane = 0;
  std::int64_t used = 0;
  if (fields.size() != 8 || fields[0] != "s1" || !number(fields[3], window) || !number(fields[4], nonce, 16) ||
      !number(fields[5], lane) || !number(fields[6], end) || !number(fields[7], used)) {
    return;
  }
  Queue& queue = queues_[Key(fields[1], fields[2])];
  if (queue.window != window || queue.nonce != nonce) {
    live_lines_ -= queue.lanes.size();
    queue = {window, nonce, {}, {}, 0};
  }
  auto [at, added] = queue.lanes.try_emplace(lane, end);
  if (added) ++live_lines_;
  at->second = std::max(at->second, end);
  queue.used = std::max(queue.used, used);
}

SequenceLog::Verdict SequenceLog::begin(std::string_view tenant, const BatchSequence& batch) {
  std::lock_guard lock(mutex_);
  const Key key(tenant, batch.queue);
  if (queues_.size() >= kMaxQueues && !queues_.contains(key)) forget_old();
  auto [at, added] = queues_.try_emplace(key);
  Queue& queue = at->second;
  queue.used = clock_.now_ms() / 1000;
  if (added) {
    queue.window = batch.window;
    queue.nonce = batch.nonce;
    queues_gauge_.set(static_cast<double>(queues_.size()));
  } else if (batch.window < queue.window || (batch.window == queue.window && batch.nonce != queue.nonce)) {
    behind_.add();
    return Verdict::behind;
  } else if (batch.window > queue.window) {
    // The collector begins a window only when the one before is settled. A request of that which is still under way
    // here was given up there: its end must not be taken for one of the new window.
    live_lines_ -= queue.lanes.size();
    queue.window = batch.window;
    queue.nonce = batch.nonce;
    queue.lanes.clear();
    queue.under_way.clear();
  }
  if (auto lane = queue.lanes.find(batch.lane); lane != queue.lanes.end() && batch.begin < lane->second) {
    if (batch.end > lane->second) return Verdict::partly;
    repeated_.add();
    return Verdict::repeated;
  }
  if (!queue.under_way.insert(batch.lane).second) return Verdict::busy;
  return Verdict::fresh;
}

void SequenceLog::end(std::string_view tenant, const BatchSequence& batch, bool acknowledged) {
  std::lock_guard lock(mutex_);
  auto at = queues_.find(Key(tenant, batch.queue));
  if (at == queues_.end()) return;
  Queue& queue = at->second;
  if (queue.window != batch.window || queue.nonce != batch.nonce) return;
  queue.under_way.erase(batch.lane);
  if (!acknowledged) return;
  auto [lane, added] = queue.lanes.try_emplace(batch.lane, batch.end);
  if (added) ++live_lines_;
  lane->second = std::max(lane->second, batch.end);
  write(line_of(tenant, batch.queue, batch.window, batch.nonce, batch.lane, lane->second, queue.used));
}

void SequenceLog::write(std::string_view line) {
  std::string bytes;
  if (torn_) bytes = "\n";  // what was cut off before must not take this line with it
  bytes += line;
  ++file_lines_;
  if (write_all(fd_, bytes)) {
    torn_ = false;
    if (!dirty_) {
      dirty_ = true;
      wake_.notify_all();
    }
    return;
  }
  int code = errno;
  torn_ = true;
  if (auto now = std::chrono::steady_clock::now(); now - complained_ > std::chrono::minutes(1)) {
    complained_ = now;
    log::warn("metrics_api", "the collectors' sequences cannot be written; after a restart repeats are appended again",
              {{"error", error_from_errno(path_, code)}});
  }
}

// What has not been used for long, and the oldest when there are too many. `mutex_` is held.
void SequenceLog::forget_old() {
  const std::int64_t oldest = clock_.now_ms() / 1000 - kForgetAfter;
  auto erase = [&](auto at) {
    live_lines_ -= at->second.lanes.size();
    return queues_.erase(at);
  };
  for (auto at = queues_.begin(); at != queues_.end();)
    at = at->second.used < oldest && at->second.under_way.empty() ? erase(at) : std::next(at);
  while (queues_.size() >= kMaxQueues) {
    auto first = std::min_element(queues_.begin(), queues_.end(),
                                  [](const auto& a, const auto& b) { return a.second.used < b.second.used; });
    erase(first);
  }
}

// `mutex_` is held.
Result<> SequenceLog::rewrite() {
  std::string text;
  std::size_t lines = 0;
  for (const auto& [key, queue] : queues_) {
    for (const auto& [lane, end] : queue.lanes) {
      text += line_of(key.first, key.second, queue.window, queue.nonce, lane, end, queue.used);
      ++lines;
    }
  }
  const std::string fresh = path_ + ".new";
  int fd = ::open(fresh.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0640);
  if (fd < 0) return std::unexpected(error_from_errno("open " + fresh, errno));
  if (!write_all(fd, text) || ::fsync(fd) != 0 || ::rename(fresh.c_str(), path_.c_str()) != 0) {
    int code = errno;
    ::close(fd);
    ::unlink(fresh.c_str());
    return std::unexpected(error_from_errno("rewrite " + path_, code));
  }
  ::close(fd_);
  fd_ = fd;
  file_lines_ = live_lines_ = lines;
  dirty_ = torn_ = false;
  return {};
}

void SequenceLog::run(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    wake_.wait(lock, stop, [&] { return dirty_; });
    if (stop.stop_requested()) break;
    if (file_lines_ > kRewriteLines && file_lines_ > 4 * live_lines_) {
      if (auto done = rewrite(); !done) {
        file_lines_ = 0;  // not again before as many lines more
        log::warn("metrics_api", "the collectors' sequences were not rewritten", {{"error", done.error()}});
      }
    } else {
      dirty_ = false;
      int fd = ::dup(fd_);
      lock.unlock();
      if (fd >= 0) {
        (void)::fdatasync(fd);
        ::close(fd);
      }
      lock.lock();
    }
    wake_.wait_for(lock, stop, std::chrono::seconds(1), [] { return false; });
  }
}

std::size_t SequenceLog::queue_count() const {
  std::lock_guard lock(mutex_);
  return queues_.size();
}

Task<std::size_t> SequenceDoor::record_gaps(const http::Request& request, const std::string& queue) {
  std::size_t recorded = 0, seen = 0;
  for (const auto& [name, value] : request.headers) {
    if (to_lower(name) != to_lower(kGapHeader) || ++seen > kMaxGaps) continue;
    auto gap = parse_gap(value);
    if (!gap) {
      log::warn("metrics_api", "a collector's report of lost rows cannot be read", {{"error", gap.error()}});
      ++recorded;  // it will not become readable by being sent again
      continue;
    }
    gap->queue = queue;
    auto done = co_await record_gap_(request.identity.tenant, std::move(*gap));
    if (!done) {
      log::warn("metrics_api", "a collector's report of lost rows was not recorded", {{"error", done.error()}});
      break;
    }
    ++recorded;
  }
  co_return recorded;
}

Task<http::Response> SequenceDoor::pass(http::Request& request, std::move_only_function<Task<http::Response>()> next) {
  std::string_view header = request.headers.get(kHeader);
  if (header.empty() || log_ == nullptr) co_return co_await next();
  auto batch = parse_sequence(header);
  if (!batch) {
    auto response = http::Response::text(400, batch.error().message + "\n");
    response.headers.set(kHeader, "refused");
    co_return response;
  }
  const std::string tenant = request.identity.tenant;
  http::Response response;
  std::string_view word = "ok";
  switch (log_->begin(tenant, *batch)) {
    case SequenceLog::Verdict::behind:
      response = http::Response::text(409, "the queue was put back to an older state; take a new name for it\n");
      word = "behind";
      break;
    case SequenceLog::Verdict::partly:
      response = http::Response::text(409, "the first rows were acknowledged before; send smaller pieces\n");
      word = "partly";
      break;
    case SequenceLog::Verdict::busy:
      response = http::Response::text(503, "this part of the queue is being written at the moment\n");
      response.headers.set("Retry-After", "1");
      word = "busy";
      break;
    case SequenceLog::Verdict::repeated:
      response = http::Response::empty(204);
      word = "repeated";
      break;
    case SequenceLog::Verdict::fresh:
      response = co_await next();
      const bool good = response.status / 100 == 2;
      log_->end(tenant, *batch, good);
      if (!good) word = "refused";
      break;
  }
  response.headers.set(kHeader, std::string(word));
  if (response.status / 100 == 2 && record_gap_ && request.headers.has(kGapHeader)) {
    std::size_t recorded = co_await record_gaps(request, batch->queue);
    response.headers.set("X-Tocayo-Gaps-Recorded", std::to_string(recorded));
  }
  co_return response;
}

Handled handle_remote_write(ApiCore& core, http::Request& request) {
  return core.sequences.pass(request, [&core, &request] { return core.push.remote_write(request); });
}

}  // namespace tocayo::metrics::api
