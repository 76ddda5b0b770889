// SPDX-License-Identifier: Apache-2.0
#include "metrics/api/memory_guard.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "core/log.h"

namespace tocayo::metrics::api {
namespace {

// A query that holds less than this part of the budget is not what fills it.
constexpr std::uint64_t kSmallestVictim = 128;
// So long a stopped query may take to go (it may be sending to a slow reader) before another one is stopped.
constexpr std::chrono::milliseconds kPatience{500};

}  // namespace

std::uint64_t anonymous_bytes() {
  char text[128];
  const int fd = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t size = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  if (size <= 0) return 0;
  text[size] = 0;
  unsigned long long total = 0, resident = 0, shared = 0;
  if (std::sscanf(text, "%llu %llu %llu", &total, &resident, &shared) != 3) return 0;
  static const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return (resident - std::min(resident, shared)) * page;
}

struct MemoryGuard::State {
  mutable std::mutex mutex;
  std::condition_variable_any changed;
  std::list<Query*> queries;
  const Query* victim = nullptr;  // stopped, not gone yet
  Context::Steady::time_point victim_since;
  bool trim = false;  // a victim is gone
};

MemoryGuard::Query::Query(MemoryGuard& guard, std::string tenant, QueryMeterLimits limits, const Context& request)
    : state_(guard.state_),
      tenant_(std::move(tenant)),
      meter_(limits),
      on_request_(request.stop_token(), [this] { stop_.request_stop(); }),
      on_meter_(meter_.stop_token(), [this] { stop_.request_stop(); }),
      context_(stop_.get_token(), request.deadline()) {}

MemoryGuard::Query::~Query() {
  {
    std::lock_guard lock(state_->mutex);
    state_->queries.remove(this);
    if (state_->victim != this) return;
    state_->victim = nullptr;
    state_->trim = true;
  }
  state_->changed.notify_all();
}

Error MemoryGuard::Query::cause(Error error) const {
  if (auto reason = meter_.stopped()) return std::move(*reason);
  return error;
}

MemoryGuard::MemoryGuard(MemoryGuardOptions options, Registry& registry)
    : options_(std::move(options)),
      registry_(registry),
      stopped_(registry.counter("tocayo_metrics_api_queries_stopped_total",
                                "Queries stopped because the process was short of memory.")),
      refused_(registry.counter("tocayo_metrics_api_queries_refused_total",
                                "Queries refused because the process was short of memory.")),
      state_(std::make_shared<State>()) {
  registry_.add_collector(this, [this](std::vector<Registry::Family>& families) {
    families.push_back({"tocayo_metrics_api_query_memory_bytes",
                        "Memory held by running queries and their results.",
                        MetricType::gauge,
                        {{"", {}, static_cast<double>(tracked_bytes())}}});
  });
  if (options_.limit != 0) thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

MemoryGuard::~MemoryGuard() {
  registry_.remove_collectors(this);
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
  }
}

double MemoryGuard::part_used() const {
  const std::uint64_t used = options_.used ? options_.used() : anonymous_bytes();
  return static_cast<double>(used) / static_cast<double>(options_.limit);
}

Result<std::shared_ptr<MemoryGuard::Query>> MemoryGuard::admit(std::string tenant, QueryMeterLimits limits,
                                                               const Context& request) {
  if (options_.limit != 0 && part_used() > options_.refuse_at) {
    refused_.add();
    return fail(ErrorKind::unavailable,
                fmt::format("the process uses more than {:.0f} % of its memory (memory.limit): no new query begins "
                            "until it has less",
                            options_.refuse_at * 100));
  }
  std::shared_ptr<Query> query(new Query(*this, std::move(tenant), limits, request));
  {
    std::lock_guard lock(state_->mutex);
    state_->queries.push_back(query.get());
  }
  state_->changed.notify_all();
  return query;
}

std::size_t MemoryGuard::running() const {
  std::lock_guard lock(state_->mutex);
  return state_->queries.size();
}

std::uint64_t MemoryGuard::tracked_bytes() const {
  std::lock_guard lock(state_->mutex);
  std::uint64_t bytes = 0;
  for (const Query* query : state_->queries) bytes += query->meter_.memory();
  return bytes;
}

void MemoryGuard::run(const std::stop_token& stop) {
  std::unique_lock lock(state_->mutex);
  while (state_->changed.wait(lock, stop, [this] { return state_->trim || !state_->queries.empty(); })) {
    if (std::exchange(state_->trim, false)) {
      lock.unlock();
      if (options_.give_back) options_.give_back();
      lock.lock();
      continue;
    }
    state_->changed.wait_for(lock, stop, options_.interval, [this] { return state_->trim; });
    if (stop.stop_requested()) return;
    if (state_->trim || state_->queries.empty()) continue;
    if (state_->victim != nullptr && Context::Steady::now() - state_->victim_since < kPatience) continue;
    // Looked at without the lock: reading /proc takes microseconds.
    lock.unlock();
    const double part = part_used();
    lock.lock();
    if (part > options_.cancel_at) cancel_biggest(static_cast<std::uint64_t>(part * 100));
  }
}

// Called under the mutex. `used`: percent.
void MemoryGuard::cancel_biggest(std::uint64_t used) {
  Query* biggest = nullptr;
  for (Query* query : state_->queries) {
    if (query->meter_.stop_token().stop_requested()) continue;
    if (biggest == nullptr || query->meter_.memory() > biggest->meter_.memory()) biggest = query;
  }
  if (biggest == nullptr) return;
  Query& query = *biggest;
  const std::uint64_t held = query.meter_.memory();
  if (held < options_.limit / kSmallestVictim) return;  // what fills the memory is no query
  state_->victim = &query;
  state_->victim_since = Context::Steady::now();
  stopped_.add();
  log::warn("metrics_api", "a query was stopped to save memory",
            {{"tenant", query.tenant_},
             {"bytes", static_cast<std::int64_t>(held)},
             {"percent_used", static_cast<std::int64_t>(used)}});
  query.meter_.stop(Error{ErrorKind::unavailable,
                          fmt::format("the query was stopped: the process uses more than {:.0f} % of its memory "
                                      "(memory.limit), and this query held the most ({} bytes). Ask for fewer series "
                                      "or a shorter time",
                                      options_.cancel_at * 100, held)});
}

}  // namespace tocayo::metrics::api
