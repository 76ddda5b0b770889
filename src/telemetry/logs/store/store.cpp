// SPDX-License-Identifier: Apache-2.0
#include "logs/store/store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <random>

#include "core/log.h"
#include "logs/store/store_impl.h"

namespace tocayo::logs {
namespace {

std::atomic<std::uint32_t> next_ordinal{0};

}  // namespace

Tenant::Tenant(std::string tenant_name)
    : name(std::move(tenant_name)), ordinal(next_ordinal++), sealed_max(std::numeric_limits<TimestampNs>::min()) {}

TenantCounters::TenantCounters(const std::string& tenant)
    : lines(Registry::global().counter("tocayo_logs_lines_total", "Lines that were stored.", {{"tenant", tenant}})),
      bytes(Registry::global().counter("tocayo_logs_line_bytes_total", "Bytes of the lines that were stored.",
                                       {{"tenant", tenant}})),
      loki_lines(Registry::global().counter("loki_distributor_lines_received_total",
                                            "The total number of lines received per tenant", {{"tenant", tenant}})),
      loki_bytes(Registry::global().counter("loki_distributor_bytes_received_total",
                                            "The total number of uncompressed bytes received per tenant.",
                                            {{"tenant", tenant}})),
      duplicates(Registry::global().counter("tocayo_logs_duplicate_lines_total",
                                            "Lines that were stored before and were not stored again.",
                                            {{"tenant", tenant}})) {}

StoreMetrics::StoreMetrics()
    : cuts(Registry::global().counter("tocayo_logs_cuts_total", "Heads written to segments.")),
      cut_failures(Registry::global().counter("tocayo_logs_cut_failures_total",
                                              "Heads that could not be written; they are tried again.")),
      merges(Registry::global().counter("tocayo_logs_merges_total", "Merges of segments.")),
      merge_failures(Registry::global().counter("tocayo_logs_merge_failures_total", "Merges that failed.")),
      retired(Registry::global().counter("tocayo_logs_segments_expired_total", "Segments removed by retention.")),
      damaged(Registry::global().counter("tocayo_logs_damaged_groups_total",
                                         "Row groups that queries had to leave out because they cannot be read.")),
      bad_records(Registry::global().counter("tocayo_logs_bad_journal_records_total",
                                             "Journal records that could not be read at start.")),
      created_streams(Registry::global().counter("tocayo_logs_streams_created_total", "Streams seen anew.")),
      replay_seconds(Registry::global().gauge("tocayo_logs_replay_seconds", "Time the last replay took.")),
      cut_seconds(Registry::global().histogram("tocayo_logs_cut_seconds", "Time to write a head to segments.")) {}

Result<std::unique_ptr<Store>> Store::open(StoreOptions options) {
  auto store = std::make_unique<StoreImpl>(std::move(options));
  if (auto loaded = store->load(); !loaded) return std::unexpected(std::move(loaded.error()).with_context("log store"));
  return store;
}

StoreImpl::StoreImpl(StoreOptions options)
    : options_(std::move(options)),
      dir_(options_.dir),
      clock_(options_.clock != nullptr ? options_.clock : &Clock::system()),
      epoch_(std::random_device{}() % 0xFFFE + 1),
      catalogue_(*options_.database) {}

StoreImpl::~StoreImpl() {
  for (std::jthread* thread : {&background_, &blooms_}) {
    thread->request_stop();
    background_wake_.notify_all();
    if (thread->joinable()) thread->join();
  }
  Registry::global().remove_collectors(this);
  partition_.reset();  // runs open acknowledgements
  journal_.reset();
  if (lock_fd_ >= 0) ::close(lock_fd_);
}

Result<> StoreImpl::load() {
  std::error_code error;
  std::filesystem::create_directories(dir_ / "segments", error);
  if (error) return std::unexpected(error_from_errno("create " + options_.dir, error.value()));
  const std::string lock_file = (dir_ / "LOCK").string();
  lock_fd_ = ::open(lock_file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (lock_fd_ < 0) return std::unexpected(error_from_errno("open " + lock_file, errno));
  if (::flock(lock_fd_, LOCK_EX | LOCK_NB) != 0) {
    return fail(ErrorKind::conflict, options_.dir + " is in use by another process");
  }
  TRY(db::migrate(*options_.database, "logs", migrations()));
  journal_ = TRY(journal::open_local_journal({.dir = (dir_ / "wal").string(),
                                              .mode = options_.journal_mode,
                                              .batch_delay = options_.journal_batch_delay,
                                              .interval = options_.journal_interval,
                                              .segment_size = options_.journal_segment_size,
                                              .faults = options_.faults}));
  partition_ = TRY(journal_->open_partition(0));
  TRY(load_catalogue());
  TRY(remove_orphans());
  TRY(replay());
  register_metrics();
  if (options_.background) {
    background_ = std::jthread([this](std::stop_token stop) { run_background(stop); });
    blooms_ = std::jthread([this](std::stop_token stop) { run_blooms(stop); });
  }
  return {};
}

void StoreImpl::register_metrics() {
  Registry::global().add_collector(this, [this](std::vector<Registry::Family>& families) {
    Registry::Family streams{
        "loki_ingester_memory_streams", "The total number of streams in memory per tenant.", MetricType::gauge, {}};
    Registry::Family own{"tocayo_logs_streams", "Streams in memory.", MetricType::gauge, {}};
    Registry::Family memory{"tocayo_logs_head_memory_bytes", "Memory of the lines in heads.", MetricType::gauge, {}};
    Registry::Family segments{"tocayo_logs_segments", "Segments on disk.", MetricType::gauge, {}};
    Registry::Family disk{"tocayo_logs_segment_file_bytes", "Size of the segments on disk.", MetricType::gauge, {}};
    Registry::Family journal{"tocayo_logs_journal_bytes", "Size of the journal.", MetricType::gauge, {}};
    for (const auto& tenant : all_tenants()) {
      const Labels labels{{"tenant", tenant->name}};
      const TenantStats now = stats(tenant->name);
      streams.samples.push_back({"", labels, static_cast<double>(now.streams)});
      own.samples.push_back({"", labels, static_cast<double>(now.streams)});
      segments.samples.push_back({"", labels, static_cast<double>(now.segments)});
      disk.samples.push_back({"", labels, static_cast<double>(now.segment_file_bytes)});
    }
    memory.samples.push_back({"", {}, static_cast<double>(head_memory_->load())});
    journal.samples.push_back({"", {}, static_cast<double>(partition_->bytes())});
    for (auto* family : {&streams, &own, &memory, &segments, &disk, &journal}) families.push_back(std::move(*family));
  });
}

std::shared_ptr<Tenant> StoreImpl::find_tenant(std::string_view name) const {
  std::shared_lock lock(tenants_mutex_);
  auto found = tenants_.find(name);
  return found == tenants_.end() ? nullptr : found->second;
}

std::shared_ptr<Tenant> StoreImpl::get_tenant(std::string_view name) {
  if (auto found = find_tenant(name)) return found;
  // The registry calls back into the store with its own lock held: nothing is registered under ours.
  auto fresh = std::make_shared<Tenant>(std::string(name));
  fresh->counters.emplace(fresh->name);
  std::unique_lock lock(tenants_mutex_);
  return tenants_.try_emplace(fresh->name, fresh).first->second;
}

std::vector<std::shared_ptr<Tenant>> StoreImpl::all_tenants() const {
  std::shared_lock lock(tenants_mutex_);
  std::vector<std::shared_ptr<Tenant>> out;
  for (const auto& [name, tenant] : tenants_) out.push_back(tenant);
  return out;
}

std::shared_ptr<const TenantLimits> StoreImpl::limits_of(std::string_view tenant) const {
  static const auto defaults = std::make_shared<const TenantLimits>();
  return options_.limits ? options_.limits(tenant) : defaults;
}

Head& StoreImpl::newest_head(Tenant& tenant) {
  if (tenant.view_->heads.empty()) {
    auto head = std::make_shared<Head>(tenant.next_head++, now(), head_memory_);
    tenant.change([&](View& view) { view.heads.push_back(std::move(head)); });
  }
  return *tenant.view_->heads.back();
}

std::shared_ptr<const Querier> StoreImpl::querier(std::string_view name) {
  auto tenant = find_tenant(name);
  // Asking for a tenant must not make it exist.
  if (!tenant) tenant = std::make_shared<Tenant>(std::string());
  return make_querier(std::move(tenant), limits_of(name), now_ns());
}

std::unique_ptr<Subscription> StoreImpl::subscribe(std::string_view tenant,
                                                   std::function<void(const TailBatch&)> callback) {
  return feed_.subscribe(std::string(tenant), std::move(callback));
}

std::vector<std::string> StoreImpl::tenants() const {
  std::vector<std::string> out;
  for (const auto& tenant : all_tenants()) out.push_back(tenant->name);
  return out;
}

TenantStats StoreImpl::stats(std::string_view name) const {
  TenantStats stats;
  auto tenant = find_tenant(name);
  if (!tenant) return stats;
  auto view = tenant->view();
  stats.streams = tenant->index.size();
  for (const auto& head : view->heads) {
    stats.head_rows += head->rows();
    stats.head_bytes += head->raw_bytes();
  }
  for (const auto& entry : view->segments) {
    ++stats.segments;
    stats.segment_rows += entry->record().rows;
    stats.segment_raw_bytes += entry->record().raw_bytes;
    stats.segment_file_bytes += entry->record().file_bytes;
  }
  return stats;
}

Result<> StoreImpl::health() const {
  TRY(overloaded());
  return partition_->health();
}

Result<> StoreImpl::flush(std::string_view name) {
  std::lock_guard lock(maintenance_mutex_);
  Result<> outcome;
  for (const auto& tenant : all_tenants()) {
    if (!name.empty() && tenant->name != name) continue;
    if (auto done = cut_tenant(*tenant, true); !done && outcome) {
      outcome = std::unexpected(std::move(done.error()).with_context("flush tenant " + tenant->name));
    }
  }
  if (auto trimmed = trim_journal(); !trimmed && outcome) outcome = trimmed;
  return outcome;
}

void StoreImpl::maintain() {
  std::lock_guard lock(maintenance_mutex_);
  wake_.store(false);
  bool cut = false;
  auto tenants = all_tenants();
  // Under memory pressure the largest heads go first, until what is left is well below the limit.
  std::sort(tenants.begin(), tenants.end(), [](const auto& a, const auto& b) {
    auto size = [](const Tenant& tenant) {
      std::uint64_t bytes = 0;
      for (const auto& head : tenant.view()->heads) bytes += head->memory_bytes();
      return bytes;
    };
    return size(*a) > size(*b);
  });
  auto report = [&](Tenant& tenant, Counter& failures, std::string_view what, Result<> outcome) {
    if (outcome) return true;
    failures.add();
    tenant.next_try.store(now() + 5000);
    log::error("logs", std::string(what) + " failed; it will be tried again",
               {{"tenant", tenant.name}, {"error", outcome.error()}});
    return false;
  };
  for (const auto& tenant : tenants) {
    if (now() < tenant->next_try.load() && tenant->next_try.load() - now() <= 5000) continue;
    const bool squeezed = head_memory_->load() >= static_cast<std::int64_t>(options_.head_memory / 4 * 3);
    const bool due = squeezed || cut_due(*tenant);
    if (due || tenant->view()->heads.size() > 1) {
      if (!report(*tenant, metrics_.cut_failures, "writing a head", cut_tenant(*tenant, due))) continue;
      cut = true;
    }
    if (!report(*tenant, metrics_.merge_failures, "retention", retire_expired(*tenant))) continue;
    if (!report(*tenant, metrics_.merge_failures, "a delete request", work_on_deletes(*tenant))) continue;
    if (auto task = merge_task(*tenant)) {
      report(*tenant, metrics_.merge_failures, "a merge", merge(*tenant, *task));
    }
  }
  if (cut) {
    if (auto trimmed = trim_journal(); !trimmed) {
      log::error("logs", "cannot trim the journal", {{"error", trimmed.error()}});
    }
  }
}

void StoreImpl::run_background(std::stop_token stop) {
  pthread_setname_np(pthread_self(), "logs-store");
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(background_mutex_);
      background_wake_.wait_for(lock, stop, std::chrono::seconds(1), [&] { return wake_.load(); });
    }
    if (!stop.stop_requested()) maintain();
  }
}

void StoreImpl::run_blooms(std::stop_token stop) {
  pthread_setname_np(pthread_self(), "logs-blooms");
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(background_mutex_);
      background_wake_.wait_for(lock, stop, std::chrono::milliseconds(500), [] { return false; });
    }
    for (const auto& tenant : all_tenants()) {
      if (stop.stop_requested()) return;
      auto view = tenant->view();
      if (!view->heads.empty()) view->heads.back()->build_blooms(tenant->stripes);
    }
  }
}

Result<> StoreImpl::close() {
  for (std::jthread* thread : {&background_, &blooms_}) {
    thread->request_stop();
    background_wake_.notify_all();
    if (thread->joinable()) thread->join();
  }
  if (closed_) return {};
  closed_ = true;
  return flush({});
}

}  // namespace tocayo::logs
