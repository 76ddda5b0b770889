// SPDX-License-Identifier: Apache-2.0
#include "agent/scrape/scraper.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <span>
#include <thread>
#include <utility>

#include "agent/scrape/discovery.h"
#include "agent/scrape/failure_log.h"
#include "agent/scrape/response.h"
#include "agent/scrape/series_cache.h"
#include "agent/scrape/target.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/registry.h"

namespace tocayo::agent {
namespace {

using Steady = std::chrono::steady_clock;
using metrics::ExpositionFormat;

// One target that is scraped. Its cache changes only in the scrape under way (one at a time: `busy`).
struct Target {
  TargetSpec spec;
  std::string pool;
  std::shared_ptr<const ScrapeConfig> config;  // shared with its pool
  std::shared_ptr<HttpIdentity> identity;      // shared with its pool: one OAuth token for all
  std::unique_ptr<SeriesCache> cache;
  std::mutex cache_mutex;  // for a look into another target's cache; never held across a suspension
  std::atomic<bool> busy{false};
  std::atomic<bool> scraped{false};

  // Under the scraper's mutex.
  TimestampMs next = 0;  // planned time
  bool removed = false;
  TimestampMs retire_at = 0;   // removed: when its stale markers are written
  TimestampMs stale_time = 0;  // … and their time: when its next scrape would have been

  mutable std::mutex mutex;
  TargetStatus status;
  std::vector<metrics::MetadataRow> metadata;
  std::uint64_t metadata_version = 0;
};
using TargetRef = std::shared_ptr<Target>;  // shared by the planner's list and the scrape under way

// One discovery of a pool and what it found last.
struct Finder {
  explicit Finder(std::unique_ptr<Discovery> d) : discovery(std::move(d)) {}
  std::unique_ptr<Discovery> discovery;  // used by the thread, or by the discovery thread when there is none
  Steady::time_point next{};             // without a thread
  std::mutex mutex;                      // what follows
  std::vector<TargetGroup> groups;
  bool news = false;  // `groups` are others than when they were last taken
  std::atomic<bool> ended{false};
  std::jthread thread;  // when the discovery may hang; last: stops first
};

struct ScrapePool {
  std::shared_ptr<const ScrapeConfig> config;
  std::shared_ptr<HttpIdentity> identity;
  std::vector<std::shared_ptr<Finder>> finders;  // shared with the pool that a reload puts in this one's place
  bool synced = false;                           // discovery thread only
  std::map<std::uint64_t, TargetRef> targets;    // by identity
  std::vector<DroppedStatus> dropped;
  std::size_t dropped_count = 0;
  std::string target_limit_error;
};

bool same_discovery(const ScrapeConfig& a, const ScrapeConfig& b) {
  return a.file_discovery == b.file_discovery && a.http_discovery == b.http_discovery &&
         a.dns_discovery == b.dns_discovery;
}

// Spreads several servers that scrape the same targets; stable across restarts.
std::uint64_t offset_seed(std::string_view tenant) {
  char name[256] = {};
  (void)::gethostname(name, sizeof name - 1);
  return hash64(name, hash64(tenant));
}

// Scrapes at once: a sixth of the descriptors. Targets that hang must not take those of the queues and collectors.
std::size_t most_connections() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return 100'000;
  return std::max<std::size_t>(8, limit.rlim_cur / 6);
}

constexpr const char* kReports[] = {"up",
                                    "scrape_duration_seconds",
                                    "scrape_samples_scraped",
                                    "scrape_samples_post_metric_relabeling",
                                    "scrape_series_added",
                                    "scrape_timeout_seconds",
                                    "scrape_sample_limit",
                                    "scrape_body_size_bytes"};
constexpr std::size_t kPlainReports = 5;  // without extra_scrape_metrics

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
  void look(ScrapePool& pool, const std::stop_token& stop);
  void look_once(Finder& finder, std::string_view job, const std::stop_token& stop);
  void find(Finder& finder, const std::string& job, std::stop_token stop);
  std::shared_ptr<Finder> make_finder(std::unique_ptr<Discovery> discovery, const std::string& job);
  void sync(ScrapePool& pool);
  void remove(const TargetRef& target, TimestampMs now);
  void schedule(const TargetRef& target, TimestampMs now);
  void start_scrape(const TargetRef& target, TimestampMs planned);
  Task<void> scrape(TargetRef target, TimestampMs planned, Context context);
  Task<void> retire(TargetRef target);
  Task<Result<http::ClientResponse>> fetch(Target& target, Context context);
  std::string read_body(Target& target, const http::ClientResponse& response, TimestampMs time, ScrapeRows& rows);
  void report(Target& target, TimestampMs time, std::span<const double> values, ScrapeRows& rows);
  Task<void> store(Target& target, ScrapeRows& rows);
  TimestampMs first_time(const Target& target, TimestampMs now) const;
  void launch(const TargetRef& target, TimestampMs planned);
  void finished();

  ScraperOptions options_;
  http::Client& client_;
  metrics::Appender& appender_;
  Pool& compute_;
  Clock& clock_;

  mutable std::mutex mutex_;
  std::condition_variable_any wake_;  // planner and discoverer
  std::condition_variable idle_;
  std::map<std::string, std::shared_ptr<ScrapePool>>
      pools_;  // shared: the discovery thread works on one without the lock
  std::multimap<TimestampMs, TargetRef>
      calendar_;  // by planned time; removed targets are skipped when their turn comes
  std::vector<TargetRef> retiring_;
  std::vector<std::shared_ptr<Finder>> dismissed_;  // shared with the discovery thread's work; their threads still end
  std::size_t running_ = 0;
  const std::size_t most_running_ = most_connections();
  std::deque<std::pair<TargetRef, TimestampMs>> waiting_;  // for one of those to end; with their planned times
  bool changed_ = false;                                   // pools were replaced: discover at once
  bool news_ = false;                                      // some finder has found others
  bool replan_ = false;                                    // the calendar has new entries
  std::stop_source stopping_;
  std::uint64_t seed_ = offset_seed(options_.tenant);
  std::jthread planner_, discoverer_;

  Counter& exceeded_body_ = Registry::global().counter("prometheus_target_scrapes_exceeded_body_size_limit_total",
                                                       "Scrapes over the body size limit.");
  Counter& exceeded_samples_ = Registry::global().counter("prometheus_target_scrapes_exceeded_sample_limit_total",
                                                          "Scrapes over the sample limit.");
  Counter& out_of_order_ = Registry::global().counter("prometheus_target_scrapes_sample_out_of_order_total",
                                                      "Samples refused because out of order.");
  Counter& duplicates_ = Registry::global().counter("prometheus_target_scrapes_sample_duplicate_timestamp_total",
                                                    "Samples refused because of a duplicate timestamp.");
  Counter& exceeded_buckets_ =
      Registry::global().counter("prometheus_target_scrapes_exceeded_native_histogram_bucket_limit_total",
                                 "Scrapes with a native histogram over the bucket limit.");
  Counter& exceeded_labels_ = Registry::global().counter("prometheus_target_scrape_pool_exceeded_label_limits_total",
                                                         "Scrapes over a limit on labels.");
  Counter& exceeded_targets_ = Registry::global().counter("prometheus_target_scrape_pool_exceeded_target_limit_total",
                                                          "Times a pool had more targets than its limit.");
  Counter& out_of_bounds_ = Registry::global().counter("prometheus_target_scrapes_sample_out_of_bounds_total",
                                                       "Samples refused because too old or too far ahead.");
  Counter& unusable_ = Registry::global().counter("prometheus_target_sync_failed_total",
                                                  "Targets that could not be made out of what was discovered.");
  Counter& skipped_ = Registry::global().counter("tocayo_agent_scrapes_skipped_total",
                                                 "Scrapes left out because the last one was still under way.");
  Counter& discovery_failures_ =
      Registry::global().counter("tocayo_agent_discovery_failures_total", "Look-ups of targets that failed.");
  Histogram& interval_length_ = Registry::global().histogram("tocayo_agent_scrape_seconds", "Duration of scrapes.");
};

void ScraperImpl::apply(ScrapeFile file) {
  {
    std::lock_guard lock(mutex_);
    std::map<std::string, std::shared_ptr<ScrapePool>> next;
    for (ScrapeConfig& job : file.jobs) {
      auto former = pools_.find(job.job_name);
      if (former != pools_.end() && former->second->config->fingerprint == job.fingerprint) {
        next[job.job_name] = std::move(former->second);  // unchanged: its targets go on
        pools_.erase(former);
        continue;
      }
      auto pool = std::make_shared<ScrapePool>();
      pool->config = std::make_shared<const ScrapeConfig>(std::move(job));
      pool->identity = std::make_shared<HttpIdentity>(pool->config->http, client_);
      if (former != pools_.end() && same_discovery(*former->second->config, *pool->config)) {
        pool->finders = former->second->finders;  // what they found is still true
      } else {
        for (auto& discovery : make_discoveries(*pool->config, client_)) {
          pool->finders.push_back(make_finder(std::move(discovery), pool->config->job_name));
        }
      }
      std::string name = pool->config->job_name;
      next[name] = std::move(pool);
    }
    TimestampMs now = clock_.now_ms();
    for (auto& [name, pool] : pools_) {
      for (auto& [identity, target] : pool->targets) remove(target, now);
      auto heir = next.find(name);
      for (auto& finder : pool->finders) {
        bool inherited = heir != next.end() && std::find(heir->second->finders.begin(), heir->second->finders.end(),
                                                         finder) != heir->second->finders.end();
        if (inherited || !finder->thread.joinable()) continue;
        finder->thread.request_stop();  // joined later: it may be in the middle of a look-up
        dismissed_.push_back(finder);
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
  std::vector<std::shared_ptr<Finder>> finders;
  {
    std::lock_guard lock(mutex_);
    finders.swap(dismissed_);
    for (auto& [name, pool] : pools_) finders.insert(finders.end(), pool->finders.begin(), pool->finders.end());
  }
  for (auto& finder : finders) finder->thread.request_stop();
  for (auto& finder : finders) {
    if (finder->thread.joinable()) finder->thread.join();
  }
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return running_ == 0; });
}

// ---- targets
// -------------------------------------------------------------------------------------------------------------------

void ScraperImpl::discover(std::stop_token stop) {
  pthread_setname_np(pthread_self(), "discovery");
  while (!stop.stop_requested()) {
    std::vector<std::shared_ptr<ScrapePool>> pools;
    std::vector<std::shared_ptr<Finder>> ended;  // joined without the lock
    {
      std::lock_guard lock(mutex_);
      changed_ = news_ = false;
      for (auto& [name, pool] : pools_) pools.push_back(pool);
      std::erase_if(dismissed_, [&](auto& finder) {
        if (!finder->ended) return false;
        ended.push_back(std::move(finder));
        return true;
      });
    }
    ended.clear();
    // Static targets, and what a reload left in force, do not wait for anybody's look-up.
    for (auto& pool : pools) {
      if (!std::exchange(pool->synced, true)) sync(*pool);
    }
    for (auto& pool : pools) {
      look(*pool, stop);
      std::lock_guard lock(mutex_);
      if (changed_) break;  // the new pools first
    }
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, stop, std::chrono::seconds(1), [this] { return changed_ || news_; });
  }
}

void ScraperImpl::look(ScrapePool& pool, const std::stop_token& stop) {
  bool news = false;
  for (auto& finder : pool.finders) {
    if (stop.stop_requested()) return;
    const bool own_thread = finder->discovery->may_hang();
    if (!own_thread && (Steady::now() >= finder->next || finder->discovery->changed())) {
      look_once(*finder, pool.config->job_name, stop);
      finder->next = Steady::now() + finder->discovery->interval();
    }
    std::lock_guard lock(finder->mutex);
    news = std::exchange(finder->news, false) || news;
  }
  if (news) sync(pool);
}

void ScraperImpl::look_once(Finder& finder, std::string_view job, const std::stop_token& stop) {
  auto groups = finder.discovery->look(Context(stop, Steady::now() + std::chrono::seconds(60)));
  if (stop.stop_requested()) return;
  if (!groups) {
    discovery_failures_.add();
    log::warn("agent", "discovery failed; the former targets stay",
              {{"job", job}, {"kind", finder.discovery->kind()}, {"error", groups.error()}});
    return;
  }
  std::lock_guard lock(finder.mutex);
  if (*groups == finder.groups) return;
  finder.groups = std::move(*groups);
  finder.news = true;
}

// The thread of one discovery that may hang.
void ScraperImpl::find(Finder& finder, const std::string& job, std::stop_token stop) {
  pthread_setname_np(pthread_self(), "find-targets");
  std::mutex mutex;
  std::condition_variable_any never;
  while (!stop.stop_requested()) {
    look_once(finder, job, stop);
    bool news = false;
    {
      std::lock_guard lock(finder.mutex);
      news = finder.news;
    }
    if (news) {
      std::lock_guard lock(mutex_);
      news_ = true;
      wake_.notify_all();
    }
    std::unique_lock lock(mutex);
    never.wait_for(lock, stop, finder.discovery->interval(), [] { return false; });
  }
  finder.ended = true;
}

std::shared_ptr<Finder> ScraperImpl::make_finder(std::unique_ptr<Discovery> discovery, const std::string& job) {
  auto finder = std::make_shared<Finder>(std::move(discovery));
  if (finder->discovery->may_hang()) {
    finder->thread = std::jthread([this, raw = finder.get(), job](std::stop_token stop) { find(*raw, job, stop); });
  }
  return finder;
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
        unusable_.add();
        log::warn("agent", "a target is unusable",
                  {{"job", config.job_name}, {"labels", discovered.to_string()}, {"error", spec.error()}});
      } else if (*spec) {
        wanted.emplace((*spec)->identity, std::move(**spec));
      } else {
        ++dropped_count;
        if (config.keep_dropped_targets == 0 || dropped.size() < config.keep_dropped_targets)
          dropped.push_back({std::move(discovered), config.job_name});
      }
    }
  };
  for (const TargetGroup& group : config.static_groups) add(group);
  for (const auto& finder : pool.finders) {
    std::lock_guard lock(finder->mutex);
    for (const TargetGroup& group : finder->groups) add(group);
  }
  std::string limit_error;
  if (config.target_limit > 0 && wanted.size() > config.target_limit) {
    exceeded_targets_.add();
    limit_error =
        fmt::format("target_limit exceeded (number of targets: {}, limit: {})", wanted.size(), config.target_limit);
  }
  {
    std::lock_guard lock(mutex_);
    auto current = pools_.find(config.job_name);
    if (current == pools_.end() || current->second.get() != &pool) return;  // replaced meanwhile
    TimestampMs now = clock_.now_ms();
    std::erase_if(pool.targets, [&](auto& entry) {
      if (wanted.contains(entry.first)) return false;
      remove(entry.second, now);
      return true;
    });
    for (auto& [identity, spec] : wanted) {
      if (auto known = pool.targets.find(identity); known != pool.targets.end()) {
        std::lock_guard guard(known->second->mutex);
        known->second->status.discovered = std::move(spec.discovered);  // __meta_ labels may be others now
        continue;
      }
      auto target = std::make_shared<Target>();
      target->pool = config.job_name;
      target->config = pool.config;
      if (spec.scrape_native_histograms != config.scrape_native_histograms ||
          spec.always_scrape_classic_histograms != config.always_scrape_classic_histograms ||
          spec.convert_classic_histograms_to_nhcb != config.convert_classic_histograms_to_nhcb) {
        auto own = std::make_shared<ScrapeConfig>(config);
        own->scrape_native_histograms = spec.scrape_native_histograms;
        own->always_scrape_classic_histograms = spec.always_scrape_classic_histograms;
        own->convert_classic_histograms_to_nhcb = spec.convert_classic_histograms_to_nhcb;
        target->config = std::move(own);
      }
      target->identity = pool.identity;
      target->cache = std::make_unique<SeriesCache>(target->config, spec.labels);
      target->status = {
          spec.discovered, spec.labels, config.job_name, spec.url, "", "unknown", 0, 0, spec.interval, spec.timeout, 0};
      target->spec = std::move(spec);
      schedule(target, now);
      pool.targets.emplace(identity, std::move(target));
    }
    pool.dropped = std::move(dropped);
    pool.dropped_count = dropped_count;
    pool.target_limit_error = std::move(limit_error);
    replan_ = true;
  }
  wake_.notify_all();
}

// With the mutex held.
void ScraperImpl::remove(const TargetRef& target, TimestampMs now) {
  auto interval = target->spec.interval.count();
  target->removed = true;
  target->stale_time = target->next;
  // It may come back, or another with the same labels take its place: two intervals for that, and a little more.
  target->retire_at = now + 2 * interval + interval / 10;
  retiring_.push_back(target);
}

void ScraperImpl::schedule(const TargetRef& target, TimestampMs now) {
  target->next = first_time(*target, now);
  calendar_.emplace(target->next, target);
}

// The next moment of this target's own phase: spread over the interval by its labels, the same after a restart.
TimestampMs ScraperImpl::first_time(const Target& target, TimestampMs now) const {
  auto interval = target.spec.interval.count();
  auto phase = static_cast<std::int64_t>((target.spec.identity ^ seed_) % static_cast<std::uint64_t>(interval));
  TimestampMs base = now - now % interval + phase;
  return base < now ? base + interval : base;
}

// ---- scrapes
// -------------------------------------------------------------------------------------------------------------------

void ScraperImpl::plan(std::stop_token stop) {
  pthread_setname_np(pthread_self(), "scrape-planner");
  TimestampMs last = clock_.now_ms();
  while (!stop.stop_requested()) {
    std::unique_lock lock(mutex_);
    replan_ = false;
    TimestampMs now = clock_.now_ms();
    if (now < last - 1000) {
      // The clock was set back: what is planned lies too far ahead.
      auto former = std::exchange(calendar_, {});
      for (auto& [time, target] : former) schedule(target, now);
    }
    last = now;
    while (!calendar_.empty() && calendar_.begin()->first <= now) {
      TargetRef target = std::move(calendar_.begin()->second);
      calendar_.erase(calendar_.begin());
      if (target->removed) continue;
      start_scrape(target, target->next);
      target->next += target->spec.interval.count();
      // After a suspend or a jump of the clock: from here on, not all that was missed.
      if (target->next <= now) target->next = first_time(*target, now + 1);
      calendar_.emplace(target->next, target);
    }
    std::erase_if(retiring_, [&](const TargetRef& target) {
      if (target->retire_at > now || target->busy.exchange(true)) return false;
      ++running_;
      compute_.post([this, target] { spawn(retire(target), [this] { finished(); }); });
      return true;
    });
    TimestampMs wait = calendar_.empty() ? 1000 : std::clamp<TimestampMs>(calendar_.begin()->first - now, 1, 1000);
    for (const TargetRef& target : retiring_)
      wait = std::min<TimestampMs>(wait, target->retire_at > now ? target->retire_at - now : 50);
    wake_.wait_for(lock, stop, std::chrono::milliseconds(wait), [this] { return replan_; });
  }
}

void ScraperImpl::start_scrape(const TargetRef& target, TimestampMs planned) {
  if (target->busy.exchange(true)) {
    skipped_.add();
    return;
  }
  if (running_ >= most_running_)
    waiting_.emplace_back(target, planned);
  else
    launch(target, planned);
}

// With the mutex held.
void ScraperImpl::launch(const TargetRef& target, TimestampMs planned) {
  ++running_;
  Context context(stopping_.get_token(), Steady::now() + target->spec.timeout);
  compute_.post([this, target, planned, context] { spawn(scrape(target, planned, context), [this] { finished(); }); });
}

void ScraperImpl::finished() {
  std::lock_guard lock(mutex_);
  --running_;
  while (!waiting_.empty() && running_ < most_running_) {
    auto [target, planned] = std::move(waiting_.front());
    waiting_.pop_front();
    if (target->removed || stopping_.stop_requested())
      target->busy = false;
    else
      launch(target, planned);
  }
  idle_.notify_all();
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
  request.headers.add("X-Prometheus-Scrape-Timeout-Seconds",
                      fmt::format("{}", static_cast<double>(target.spec.timeout.count()) / 1000));
  CO_TRY_VOID(co_await target.identity->apply(request, context));
  auto response = co_await client_.send(std::move(request), context);
  if (!response && response.error().kind == ErrorKind::too_large) {
    exceeded_body_.add();
    co_return fail(ErrorKind::too_large, "body size limit exceeded");
  }
  if (!response) co_return std::unexpected(std::move(response.error()));
  if (response->status != 200)
    co_return fail(ErrorKind::unavailable, "server returned HTTP status " + status_text(response->status));
  if (config.body_size_limit > 0 && response->body.size() >= config.body_size_limit) {
    exceeded_body_.add();
    co_return fail(ErrorKind::too_large, "body size limit exceeded");
  }
  co_return std::move(*response);
}

Task<void> ScraperImpl::store(Target& target, ScrapeRows& rows) {
  auto result = co_await appender_.append(options_.tenant, {rows.series, rows.metadata});
  if (!result) {
    log::warn("agent", "scraped samples were not stored", {{"target", target.spec.url}, {"error", result.error()}});
    co_return;
  }
  for (const auto& rejected : result->rejected) {
    double count = static_cast<double>(rejected.count);
    if (rejected.reason == "sample_duplicate_timestamp")
      duplicates_.add(count);
    else if (rejected.reason == "sample_out_of_order")
      out_of_order_.add(count);
    else if (rejected.reason == "sample_timestamp_too_old" || rejected.reason.starts_with("too_far_in_"))
      out_of_bounds_.add(count);
  }
  std::lock_guard lock(target.cache_mutex);
  target.cache->remember(rows);
}

// What is wrong with the body, or "".
std::string ScraperImpl::read_body(Target& target, const http::ClientResponse& response, TimestampMs time,
                                   ScrapeRows& rows) {
  Result<ExpositionFormat> format = ExpositionFormat::text;
  if (!response.body.empty())
    format = body_format(response.headers.get("Content-Type"), target.config->fallback_protocol);
  if (!format) {
    target.cache->vanish(time, rows);
    return format.error().message;
  }
  auto read = target.cache->read(response.body, *format, time, rows);
  duplicates_.add(static_cast<double>(rows.duplicates));
  out_of_bounds_.add(static_cast<double>(rows.out_of_bounds));
  if (read) return {};
  switch (target.cache->refusal()) {
    case ScrapeRefusal::sample_limit: exceeded_samples_.add(); break;
    case ScrapeRefusal::bucket_limit: exceeded_buckets_.add(); break;
    case ScrapeRefusal::label_limit: exceeded_labels_.add(); break;
    default: break;
  }
  target.cache->vanish(time, rows);
  return read.error().message;
}

void ScraperImpl::report(Target& target, TimestampMs time, std::span<const double> values, ScrapeRows& rows) {
  std::size_t count = target.config->extra_scrape_metrics ? std::size(kReports) : kPlainReports;
  for (std::size_t i = 0; i < count; ++i) target.cache->add_report(kReports[i], time, values[i], rows);
}

Task<void> ScraperImpl::scrape(TargetRef target, TimestampMs planned, Context context) {
  auto began = Steady::now();
  // Small delays of the planner do not show in the samples: equal distances compress better.
  TimestampMs now = clock_.now_ms();
  TimestampMs tolerance = std::min<TimestampMs>(2, target->spec.interval.count() / 100);
  TimestampMs time = now >= planned && now - planned <= tolerance ? planned : now;
  std::string forced;
  {
    std::lock_guard lock(mutex_);
    if (auto pool = pools_.find(target->pool); pool != pools_.end()) forced = pool->second->target_limit_error;
  }
  auto response =
      forced.empty() ? co_await fetch(*target, context) : Result<http::ClientResponse>(fail(ErrorKind::limit, forced));
  co_await compute_.schedule();
  if (!response && context.stop_token().stop_requested()) {
    target->busy = false;
    co_return;  // the program stops: not the target's fault
  }
  std::string problem;
  double bytes = 0, seconds = 0;
  ScrapeRows rows;
  {
    std::lock_guard lock(target->cache_mutex);
    if (response) {
      bytes = static_cast<double>(response->body.size());
      problem = read_body(*target, *response, time, rows);
    } else {
      problem = response.error().message;
      if (response.error().kind == ErrorKind::too_large) bytes = -1;
      target->cache->vanish(time, rows);
    }
    seconds = std::chrono::duration<double>(Steady::now() - began).count();
    const double values[] = {problem.empty() ? 1.0 : 0.0,
                             seconds,
                             static_cast<double>(rows.scraped),
                             static_cast<double>(rows.kept),
                             static_cast<double>(rows.added),
                             static_cast<double>(target->spec.timeout.count()) / 1000,
                             static_cast<double>(target->config->sample_limit),
                             bytes};
    report(*target, time, values, rows);
  }
  if (!response && forced.empty() && !target->config->failure_log_file.empty()) {
    auto logged = log_scrape_failure(target->config->failure_log_file, now, target->pool, target->spec.url, problem);
    if (!logged) log::warn("agent", "scrape_failure_log_file cannot be written", {{"error", logged.error()}});
  }
  co_await store(*target, rows);
  co_await compute_.schedule();
  target->scraped = true;
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
    if (target->metadata_version != target->cache->metadata_version()) {
      target->metadata_version = target->cache->metadata_version();
      target->metadata = target->cache->metadata();
    }
  }
  target->busy = false;
}

// The series of a removed target end, but for those that a target with the same labels goes on with.
Task<void> ScraperImpl::retire(TargetRef target) {
  if (!target->scraped) co_return;
  TargetRef successor;
  TimestampMs time = 0;
  {
    std::lock_guard lock(mutex_);
    time = target->stale_time;
    for (auto& [name, pool] : pools_) {
      for (auto& [identity, other] : pool->targets) {
        if (other->spec.labels == target->spec.labels) successor = other;
      }
    }
  }
  ScrapeRows rows;
  if (successor) {
    std::lock_guard lock(successor->cache_mutex);
    target->cache->vanish(time, rows, successor->cache.get());
  } else {
    target->cache->vanish(time, rows);
    const std::vector<double> stale(std::size(kReports), metrics::kStaleNaN);
    report(*target, time, stale, rows);
  }
  co_await store(*target, rows);
}

// ---- what there is to see
// ------------------------------------------------------------------------------------------------------

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

std::unique_ptr<Scraper> Scraper::create(ScraperOptions options, http::Client& client, metrics::Appender& appender,
                                         Pool& compute, Clock& clock) {
  return std::make_unique<ScraperImpl>(std::move(options), client, appender, compute, clock);
}

}  // namespace tocayo::agent
