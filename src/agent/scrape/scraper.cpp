// SPDX-License-Identifier: Apache-2.0
#include "agent/scrape/scraper.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "agent/scrape/discovery.h"
#include "agent/scrape/series_cache.h"
#include "agent/scrape/target.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/registry.h"

namespace tocayo::agent {
namespace {

using Steady = std::chrono::steady_clock;
using metrics::ExpositionFormat;

// One target that is scraped. `cache` and `config` belong to the scrape under way (one at a time); the status has its mutex.
struct Target {
  TargetSpec spec;
  std::string pool;
  std::shared_ptr<const ScrapeConfig> config;      // shared with its pool
  std::shared_ptr<HttpIdentity> identity;          // shared with its pool: one OAuth token for all
  std::unique_ptr<SeriesCache> cache;
  TimestampMs next = 0;                            // planned time; planner only
  std::atomic<bool> busy{false};
  std::atomic<bool> removed{false};
  TimestampMs retire_at = 0;                       // removed: when its series go stale; planner only

  mutable std::mutex mutex;
  TargetStatus status;
  std::vector<metrics::MetadataRow> metadata;
};
using TargetRef = std::shared_ptr<Target>;  // shared by the planner's list and the scrape under way

struct Finder {  // one discovery of a pool and what it found last
  std::unique_ptr<Discovery> discovery;
  std::vector<TargetGroup> groups;
  Steady::time_point next{};
};

struct ScrapePool {
  std::shared_ptr<const ScrapeConfig> config;
  std::shared_ptr<HttpIdentity> identity;
  std::vector<Finder> finders;                     // discovery thread only
  std::map<std::uint64_t, TargetRef> targets;      // by identity
  std::vector<DroppedStatus> dropped;
  std::size_t dropped_count = 0;
  bool target_limit_exceeded = false;
};

std::string failure_text(const Error& error) { return error.message; }

// By Content-Type, with the configured fallback: Prometheus' rules.
Result<ExpositionFormat> format_of(std::string_view content_type, const std::string& fallback) {
  if (auto known = metrics::exposition_format(content_type)) return *known;
  if (fallback == "PrometheusProto") return ExpositionFormat::protobuf;
  if (fallback.starts_with("OpenMetrics")) return ExpositionFormat::openmetrics;
  if (!fallback.empty()) return ExpositionFormat::text;
  if (content_type.empty()) {
    return fail(ErrorKind::bad_input, "non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol specified for target");
  }
  return fail(ErrorKind::bad_input, fmt::format("received unsupported Content-Type \"{}\" and no fallback_scrape_protocol specified for target", content_type));
}

class ScraperImpl final : public Scraper {
 public:
  ScraperImpl(ScraperOptions options, http::Client& client, metrics::Appender& appender, Pool& compute, Clock& clock)
      : options_(std::move(options)), client_(client), appender_(appender), compute_(compute), clock_(clock) {
    planner_ = std::jthread([this](std::stop_token stop) { plan(stop); });
    discoverer_ = std::jthread([this](std::stop_token stop) { discover(stop); });
  }
  ~ScraperImpl() override { stop(); }

  void apply(ScrapeFile file) override;
  void stop() override;
  std::vector<std::string> pools() const override;
  std::vector<TargetStatus> active() const override;
  std::vector<DroppedStatus> dropped() const override;
  std::vector<std::pair<std::string, std::size_t>> dropped_counts() const override;
  std::vector<std::pair<Labels, metrics::MetadataRow>> metadata(std::string_view metric) const override;
  Result<ScrapeConfig> pool_config(std::string_view pool) const override;

 private:
  void plan(std::stop_token stop);
  void discover(std::stop_token stop);
  void sync(ScrapePool& pool);
  void start_scrape(const TargetRef& target, TimestampMs planned);
  Task<void> scrape(TargetRef target, TimestampMs planned, Context context);
  Task<void> retire(TargetRef target);
  Task<Result<http::ClientResponse>> fetch(Target& target, Context context);
  Task<void> store(Target& target, ScrapeRows& rows);
  TimestampMs first_time(const Target& target, TimestampMs now) const;
  void finished() {
    std::lock_guard lock(mutex_);
    --running_;
    idle_.notify_all();
  }

  ScraperOptions options_;
  http::Client& client_;
  metrics::Appender& appender_;
  Pool& compute_;
  Clock& clock_;

  mutable std::mutex mutex_;
  std::condition_variable_any wake_;        // planner and discoverer
  std::condition_variable idle_;
  std::map<std::string, std::shared_ptr<ScrapePool>> pools_;  // shared: the discovery thread works on one without the lock
  std::vector<TargetRef> retiring_;
  std::size_t running_ = 0;
  bool changed_ = false;                    // pools were replaced: discover at once
  std::stop_source stopping_;
  std::uint64_t seed_ = hash64(options_.tenant);
  std::jthread planner_, discoverer_;

  Counter& exceeded_body_ = Registry::global().counter("prometheus_target_scrapes_exceeded_body_size_limit_total", "Scrapes over the body size limit.");
  Counter& exceeded_samples_ = Registry::global().counter("prometheus_target_scrapes_exceeded_sample_limit_total", "Scrapes over the sample limit.");
  Counter& out_of_order_ = Registry::global().counter("prometheus_target_scrapes_sample_out_of_order_total", "Samples refused because out of order.");
  Counter& duplicates_ = Registry::global().counter("prometheus_target_scrapes_sample_duplicate_timestamp_total", "Samples refused because of a duplicate timestamp.");
  Counter& skipped_ = Registry::global().counter("tocayo_agent_scrapes_skipped_total", "Scrapes left out because the last one was still under way.");
  Counter& discovery_failures_ = Registry::global().counter("tocayo_agent_discovery_failures_total", "Look-ups of targets that failed.");
  Histogram& interval_length_ = Registry::global().histogram("tocayo_agent_scrape_seconds", "Duration of scrapes.");
};

void ScraperImpl::apply(ScrapeFile file) {
  {
    std::lock_guard lock(mutex_);
    std::map<std::string, std::shared_ptr<ScrapePool>> next;
    for (ScrapeConfig& job : file.jobs) {
      auto it = pools_.find(job.job_name);
      if (it != pools_.end() && it->second->config->yaml == job.yaml && it->second->config->interval == job.interval &&
          it->second->config->timeout == job.timeout && it->second->config->http.authorization == job.http.authorization &&
          it->second->config->http.basic_password == job.http.basic_password) {
        next[job.job_name] = std::move(it->second);  // unchanged: its targets go on
        pools_.erase(it);
        continue;
      }
      auto pool = std::make_shared<ScrapePool>();
      pool->config = std::make_shared<const ScrapeConfig>(std::move(job));
      pool->identity = std::make_shared<HttpIdentity>(pool->config->http, client_);
      for (auto& discovery : make_discoveries(*pool->config, client_)) pool->finders.push_back({std::move(discovery), {}, {}});
      std::string name = pool->config->job_name;
      next[name] = std::move(pool);
    }
    TimestampMs now = clock_.now_ms();
    for (auto& [name, pool] : pools_) {
      for (auto& [identity, target] : pool->targets) {
        target->removed = true;
        target->retire_at = now + 2 * target->spec.interval.count();
        retiring_.push_back(target);
      }
    }
    pools_ = std::move(next);
    changed_ = true;
  }
  wake_.notify_all();
}

void ScraperImpl::stop() {
  stopping_.request_stop();
  planner_.request_stop();
  discoverer_.request_stop();
  wake_.notify_all();
  if (planner_.joinable()) planner_.join();
  if (discoverer_.joinable()) discoverer_.join();
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return running_ == 0; });
}

// ---- targets -------------------------------------------------------------------------------------------------------------------

void ScraperImpl::discover(std::stop_token stop) {
  pthread_setname_np(pthread_self(), "discovery");
  while (!stop.stop_requested()) {
    std::vector<std::shared_ptr<ScrapePool>> pools;
    {
      std::lock_guard lock(mutex_);
      changed_ = false;
      for (auto& [name, pool] : pools_) pools.push_back(pool);
    }
    for (auto& pool : pools) {
      for (Finder& finder : pool->finders) {
        if (stop.stop_requested()) return;
        if (Steady::now() < finder.next && !finder.discovery->changed()) continue;
        finder.next = Steady::now() + finder.discovery->interval();
        auto groups = finder.discovery->look(Context(stop, Steady::now() + std::chrono::seconds(60)));
        if (groups) {
          finder.groups = std::move(*groups);
        } else if (!stop.stop_requested()) {
          discovery_failures_.add();
          log::warn("agent", "discovery failed; the former targets stay",
                    {{"job", pool->config->job_name}, {"kind", finder.discovery->kind()}, {"error", groups.error()}});
        }
      }
      sync(*pool);
    }
    wake_.notify_all();
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, stop, std::chrono::seconds(1), [this] { return changed_; });
  }
}

void ScraperImpl::sync(ScrapePool& pool) {
  const ScrapeConfig& config = *pool.config;
  std::map<std::uint64_t, TargetSpec> wanted;
  std::vector<DroppedStatus> dropped;
  std::size_t dropped_count = 0;
  auto add = [&](const TargetGroup& group) {
    for (const Labels& target : group.targets) {
      Labels discovered = discovered_labels(config, target, group.labels);
      auto spec = make_target(config, discovered);
      if (!spec) {
        log::warn("agent", "a target is unusable", {{"job", config.job_name}, {"labels", discovered.to_string()}, {"error", spec.error()}});
      } else if (*spec) {
        wanted.emplace((*spec)->identity, std::move(**spec));
      } else {
        ++dropped_count;
        if (config.keep_dropped_targets == 0 || dropped.size() < config.keep_dropped_targets) dropped.push_back({std::move(discovered), config.job_name});
      }
    }
  };
  for (const TargetGroup& group : config.static_groups) add(group);
  for (const Finder& finder : pool.finders) {
    for (const TargetGroup& group : finder.groups) add(group);
  }
  bool exceeded = config.target_limit > 0 && wanted.size() > config.target_limit;
  std::lock_guard lock(mutex_);
  auto current = pools_.find(config.job_name);
  if (current == pools_.end() || current->second.get() != &pool) return;  // replaced meanwhile
  TimestampMs now = clock_.now_ms();
  std::erase_if(pool.targets, [&](auto& entry) {
    if (wanted.contains(entry.first)) return false;
    entry.second->removed = true;
    entry.second->retire_at = now + 2 * entry.second->spec.interval.count();
    retiring_.push_back(entry.second);
    return true;
  });
  for (auto& [identity, spec] : wanted) {
    if (pool.targets.contains(identity)) continue;
    auto target = std::make_shared<Target>();
    target->pool = config.job_name;
    target->config = pool.config;
    target->identity = pool.identity;
    target->cache = std::make_unique<SeriesCache>(pool.config, spec.labels);
    target->status = {spec.discovered, spec.labels, config.job_name, spec.url, "", "unknown", 0, 0, spec.interval, spec.timeout, 0};
    target->spec = std::move(spec);
    target->next = first_time(*target, now);
    pool.targets.emplace(identity, std::move(target));
  }
  pool.dropped = std::move(dropped);
  pool.dropped_count = dropped_count;
  pool.target_limit_exceeded = exceeded;
}

// The next moment of this target's own phase: spread over the interval by its labels, the same after a restart.
TimestampMs ScraperImpl::first_time(const Target& target, TimestampMs now) const {
  auto interval = target.spec.interval.count();
  auto phase = static_cast<std::int64_t>((target.spec.identity ^ seed_) % static_cast<std::uint64_t>(interval));
  TimestampMs base = now - now % interval + phase;
  return base < now ? base + interval : base;
}

// ---- scrapes -------------------------------------------------------------------------------------------------------------------

void ScraperImpl::plan(std::stop_token stop) {
  pthread_setname_np(pthread_self(), "scrape-planner");
  while (!stop.stop_requested()) {
    std::unique_lock lock(mutex_);
    TimestampMs now = clock_.now_ms();
    TimestampMs wait = 1000;
    for (auto& [name, pool] : pools_) {
      for (auto& [identity, target] : pool->targets) {
        auto interval = target->spec.interval.count();
        if (target->next <= now) {
          start_scrape(target, target->next);
          target->next += interval;
          // After a suspend or a jump of the clock: from here on, not all that was missed.
          if (target->next <= now || target->next > now + 2 * interval) target->next = first_time(*target, now + 1);
        }
        wait = std::min(wait, target->next - now);
      }
    }
    std::erase_if(retiring_, [&](const TargetRef& target) {
      if (target->retire_at > now || target->busy.exchange(true)) return false;
      ++running_;
      compute_.post([this, target] { spawn(retire(target), [this] { finished(); }); });
      return true;
    });
    wake_.wait_for(lock, stop, std::chrono::milliseconds(std::max<TimestampMs>(wait, 1)), [] { return false; });
  }
}

void ScraperImpl::start_scrape(const TargetRef& target, TimestampMs planned) {
  if (target->busy.exchange(true)) {
    skipped_.add();
    return;
  }
  ++running_;
  Context context(stopping_.get_token(), Steady::now() + target->spec.timeout);
  compute_.post([this, target, planned, context] { spawn(scrape(target, planned, context), [this] { finished(); }); });
}

Task<Result<http::ClientResponse>> ScraperImpl::fetch(Target& target, Context context) {
  const ScrapeConfig& config = *target.config;
  http::ClientRequest request;
  request.url = target.spec.url;
  request.unix_socket = target.spec.unix_socket;
  request.timeout = target.spec.timeout;
  request.connect_timeout = target.spec.timeout;
  request.max_response_bytes = config.body_size_limit > 0 ? config.body_size_limit : (1ULL << 30);
  request.accept_compressed = config.enable_compression;
  request.headers.add("Accept", accept_header(config));
  request.headers.add("User-Agent", options_.user_agent);
  request.headers.add("X-Prometheus-Scrape-Timeout-Seconds", fmt::format("{}", static_cast<double>(target.spec.timeout.count()) / 1000));
  CO_TRY_VOID(co_await target.identity->apply(request, context));
  auto response = co_await client_.send(std::move(request), context);
  if (!response && response.error().kind == ErrorKind::too_large) {
    exceeded_body_.add();
    co_return fail(ErrorKind::too_large, "body size limit exceeded");
  }
  if (!response) co_return std::unexpected(std::move(response.error()));
  if (response->status != 200) co_return fail(ErrorKind::unavailable, fmt::format("server returned HTTP status {}", response->status));
  co_return std::move(*response);
}

Task<void> ScraperImpl::store(Target& target, ScrapeRows& rows) {
  auto result = co_await appender_.append(options_.tenant, {rows.series, rows.metadata});
  if (!result) {
    log::warn("agent", "scraped samples were not stored", {{"target", target.spec.url}, {"error", result.error()}});
    co_return;
  }
  for (const auto& rejected : result->rejected) {
    if (rejected.reason == "sample_duplicate_timestamp") duplicates_.add(static_cast<double>(rejected.count));
    else if (rejected.reason.starts_with("sample_")) out_of_order_.add(static_cast<double>(rejected.count));
  }
  target.cache->remember(rows);
}

Task<void> ScraperImpl::scrape(TargetRef target, TimestampMs planned, Context context) {
  auto began = Steady::now();
  // Small delays of the planner do not show in the samples: equal distances compress better.
  TimestampMs now = clock_.now_ms();
  TimestampMs time = std::abs(now - planned) <= std::max<TimestampMs>(2, target->spec.interval.count() / 100) ? planned : now;
  std::string problem;
  std::size_t bytes = 0;
  ScrapeRows rows;
  bool exceeded = false;
  {
    std::lock_guard lock(mutex_);
    auto pool = pools_.find(target->pool);
    exceeded = pool != pools_.end() && pool->second->target_limit_exceeded;
  }
  auto response = exceeded ? Result<http::ClientResponse>(fail(ErrorKind::limit, "target_limit exceeded")) : co_await fetch(*target, context);
  co_await compute_.schedule();
  double seconds = std::chrono::duration<double>(Steady::now() - began).count();
  if (!response) {
    if (context.stop_token().stop_requested()) {
      target->busy = false;
      co_return;  // the program stops: not the target's fault
    }
    problem = failure_text(response.error());
    target->cache->vanish(time, rows);
  } else {
    bytes = response->body.size();
    auto format = format_of(response->headers.get("Content-Type"), target->config->fallback_protocol);
    Result<> read = format ? target->cache->read(response->body, *format, time, rows) : std::unexpected(format.error());
    if (!read) {
      if (read.error().kind == ErrorKind::limit) exceeded_samples_.add();
      problem = read.error().message;
      target->cache->vanish(time, rows);
    }
  }
  target->cache->add_report("up", time, problem.empty() ? 1 : 0, rows);
  target->cache->add_report("scrape_duration_seconds", time, seconds, rows);
  target->cache->add_report("scrape_samples_scraped", time, static_cast<double>(rows.scraped), rows);
  target->cache->add_report("scrape_samples_post_metric_relabeling", time, static_cast<double>(rows.kept), rows);
  target->cache->add_report("scrape_series_added", time, static_cast<double>(rows.added), rows);
  target->cache->add_report("scrape_timeout_seconds", time, static_cast<double>(target->spec.timeout.count()) / 1000, rows);
  target->cache->add_report("scrape_sample_limit", time, static_cast<double>(target->config->sample_limit), rows);
  target->cache->add_report("scrape_body_size_bytes", time, static_cast<double>(bytes), rows);
  co_await store(*target, rows);
  co_await compute_.schedule();
  interval_length_.observe(seconds);
  {
    std::lock_guard lock(target->mutex);
    if (target->status.last_error != problem && !problem.empty()) {
      log::warn("agent", "scrape failed", {{"job", target->pool}, {"target", target->spec.url}, {"error", problem}});
    }
    target->status.last_error = problem;
    target->status.health = problem.empty() ? "up" : "down";
    target->status.last_scrape = time;
    target->status.last_duration = seconds;
    target->status.series = target->cache->size();
    target->metadata = target->cache->metadata();
  }
  target->busy = false;
}

// Two intervals after it was removed: unless another target now has the same labels, its series end.
Task<void> ScraperImpl::retire(TargetRef target) {
  bool replaced = false;
  {
    std::lock_guard lock(mutex_);
    for (auto& [name, pool] : pools_) {
      for (auto& [identity, other] : pool->targets) replaced = replaced || other->spec.labels == target->spec.labels;
    }
  }
  if (replaced) co_return;
  TimestampMs time = clock_.now_ms();
  ScrapeRows rows;
  target->cache->vanish(time, rows);
  for (const char* name : {"up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling",
                           "scrape_series_added", "scrape_timeout_seconds", "scrape_sample_limit", "scrape_body_size_bytes"}) {
    target->cache->add_report(name, time, metrics::kStaleNaN, rows);
  }
  co_await store(*target, rows);
}

// ---- what there is to see ------------------------------------------------------------------------------------------------------

std::vector<std::string> ScraperImpl::pools() const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, pool] : pools_) names.push_back(name);
  return names;
}

std::vector<TargetStatus> ScraperImpl::active() const {
  std::lock_guard lock(mutex_);
  std::vector<TargetStatus> list;
  for (const auto& [name, pool] : pools_) {
    for (const auto& [identity, target] : pool->targets) {
      std::lock_guard guard(target->mutex);
      list.push_back(target->status);
    }
  }
  return list;
}

std::vector<DroppedStatus> ScraperImpl::dropped() const {
  std::lock_guard lock(mutex_);
  std::vector<DroppedStatus> list;
  for (const auto& [name, pool] : pools_) list.insert(list.end(), pool->dropped.begin(), pool->dropped.end());
  return list;
}

std::vector<std::pair<std::string, std::size_t>> ScraperImpl::dropped_counts() const {
  std::lock_guard lock(mutex_);
  std::vector<std::pair<std::string, std::size_t>> list;
  for (const auto& [name, pool] : pools_) list.emplace_back(name, pool->dropped_count);
  return list;
}

std::vector<std::pair<Labels, metrics::MetadataRow>> ScraperImpl::metadata(std::string_view metric) const {
  std::lock_guard lock(mutex_);
  std::vector<std::pair<Labels, metrics::MetadataRow>> list;
  for (const auto& [name, pool] : pools_) {
    for (const auto& [identity, target] : pool->targets) {
      std::lock_guard guard(target->mutex);
      for (const auto& row : target->metadata) {
        if (metric.empty() || row.metric == metric) list.emplace_back(target->spec.labels, row);
      }
    }
  }
  return list;
}

Result<ScrapeConfig> ScraperImpl::pool_config(std::string_view pool) const {
  std::lock_guard lock(mutex_);
  auto it = pools_.find(std::string(pool));
  if (it == pools_.end()) return fail(ErrorKind::not_found, fmt::format("scrape pool \"{}\" not found", pool));
  return *it->second->config;
}

}  // namespace

std::unique_ptr<Scraper> Scraper::create(ScraperOptions options, http::Client& client, metrics::Appender& appender, Pool& compute, Clock& clock) {
  return std::make_unique<ScraperImpl>(std::move(options), client, appender, compute, clock);
}

}  // namespace tocayo::agent
