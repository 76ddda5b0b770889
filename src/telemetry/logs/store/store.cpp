// SPDX-License-Identifier: Apache-2.0
#include "logs/store/store.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <random>

#include "core/log.h"
#include "core/thread.h"
#include "logs/store/store_impl.h"

namespace tocayo::logs {
namespace {

std::atomic<std::uint32_t> next_ordinal{0};

constexpr TimestampMs kTryAgain = 5000;  // after a cut or merge that failed

// The calling thread takes processor and disk only when others leave them idle.
void work_when_idle() {
  constexpr int kWhoThread = 1;        // IOPRIO_WHO_PROCESS: of a thread, 0 the calling one
  constexpr int kIdleClass = 3 << 13;  // IOPRIO_CLASS_IDLE
  (void)::syscall(SYS_ioprio_set, kWhoThread, 0, kIdleClass);
  give_way(10);
}

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
      catalogue_(*options_.database),
      disk_(
          options_.disk_space ? options_.disk_space : [dir = options_.dir] { return disk_space(dir); },
          options_.disk_reserve) {}

StoreImpl::~StoreImpl() {
  end_threads();
  Registry::global().remove_collectors(this);
  partition_.reset();  // runs open acknowledgements
  journal_.reset();
}

Result<> StoreImpl::load() {
  std::error_code error;
  std::filesystem::create_directories(dir_ / "segments", error);
  if (error) return std::unexpected(error_from_errno("create " + options_.dir, error.value()));
  lock_ = TRY(DirLock::take(dir_));
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
    cuts_ = std::jthread([this](std::stop_token stop) { run_cuts(stop); });
    merges_ = std::jthread([this](std::stop_token stop) { run_merges(stop); });
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
    Registry::Family grown{"tocayo_logs_label_new_values",
                           "Values that a label got today (UTC), of labels that are spilled or half way to it.",
                           MetricType::gauge,
                           {}};
    Registry::Family spilled{"tocayo_logs_label_spilled",
                             "Whether a label with many values is kept with each line instead of splitting streams.",
                             MetricType::gauge,
                             {}};
    Registry::Family full{
        "tocayo_logs_disk_full", "Whether lines are refused because the disk is full.", MetricType::gauge, {}};
    full.samples.push_back({"", {}, disk_.full() ? 1.0 : 0.0});
    for (const auto& tenant : all_tenants()) {
      const Labels labels{{"tenant", tenant->name}};
      const TenantStats now = stats(tenant->name);
      streams.samples.push_back({"", labels, static_cast<double>(now.streams)});
      own.samples.push_back({"", labels, static_cast<double>(now.streams)});
      segments.samples.push_back({"", labels, static_cast<double>(now.segments)});
      disk.samples.push_back({"", labels, static_cast<double>(now.segment_file_bytes)});
      const std::size_t most = limits_of(tenant->name)->max_label_values_per_day;
      for (const LabelGrowth& growth : label_growth(tenant->name, most / 2 + 1)) {
        const Labels label{{"label", growth.label}, {"tenant", tenant->name}};
        grown.samples.push_back({"", label, static_cast<double>(growth.values)});
        spilled.samples.push_back({"", label, growth.spilled != 0 ? 1.0 : 0.0});
      }
    }
    memory.samples.push_back({"", {}, static_cast<double>(head_memory_->load())});
    journal.samples.push_back({"", {}, static_cast<double>(partition_->bytes())});
    for (auto* family : {&streams, &own, &memory, &segments, &disk, &journal, &full, &grown, &spilled})
      families.push_back(std::move(*family));
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

std::vector<LabelGrowth> StoreImpl::label_growth(std::string_view name, std::uint64_t least) const {
  std::vector<LabelGrowth> out;
  if (auto tenant = find_tenant(name)) {
    std::map<std::string, std::uint64_t> streams;
    for (auto& [label, values] : tenant->index.grown(1, now())) streams[label] = values;
    std::map<std::string, LabelGrowth> found;
    const auto notes = tenant->spill.notes(now());
    for (const auto& [label, note] : notes) {
      found[label] = {label, streams[label] + note.values, note.sender, note.since};
    }
    for (const auto& [label, values] : streams) {
      if (!found.contains(label)) found[label] = {label, values, {}, 0};
    }
    for (auto& [label, growth] : found) {
      if (label != kSpillMark && (growth.spilled != 0 || growth.values >= least)) out.push_back(std::move(growth));
    }
  }
  return out;
}

void StoreImpl::note_sender(std::string_view name, const Labels& labels, std::string_view address) {
  auto tenant = find_tenant(name);
  const auto spilled = tenant ? tenant->spill.names() : nullptr;
  if (!spilled || address.empty()) return;
  for (const Label& label : labels) {
    if (spilled->contains(label.name)) tenant->spill.set_sender(label.name, address);
  }
}

// Once a day and label.
void StoreImpl::warn_of_growth(Tenant& tenant) {
  const std::int64_t day = now() / 86'400'000;
  const std::size_t most = limits_of(tenant.name)->max_label_values_per_day;
  for (const LabelGrowth& growth : label_growth(tenant.name, most + 1)) {
    auto& told = tenant.warned[growth.label];
    if (told == day || growth.values <= most) continue;
    told = day;
    log::warn("logs",
              growth.spilled != 0
                  ? "a label got very many values today: they are kept with each line and make no streams"
                  : "a label got very many values today: each makes a stream of its own",
              {{"tenant", tenant.name}, {"label", growth.label}, {"values", growth.values}, {"sender", growth.sender}});
  }
}

void StoreImpl::save_spilled(Tenant& tenant) {
  auto labels = tenant.spill.take_unsaved();
  if (labels.empty()) return;
  if (auto saved = catalogue_.add_spilled(tenant.name, labels); !saved) {
    log::error("logs", "cannot note which labels are spilled; it will be tried again", {{"error", saved.error()}});
    tenant.spill.put_back(std::move(labels));
  }
}

Result<> StoreImpl::health() const {
  TRY(overloaded());
  return partition_->health();
}

Result<> StoreImpl::flush(std::string_view name) {
  std::lock_guard lock(cutting_mutex_);
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
  cut_round();
  merge_round();
}

bool StoreImpl::report(Tenant& tenant, Counter& failures, std::atomic<TimestampMs>& next_try, std::string_view what,
                       const Result<>& outcome) {
  if (outcome) return true;
  if (outcome.error().kind == ErrorKind::canceled) return false;
  failures.add();
  next_try.store(now() + kTryAgain);
  log::error("logs", std::string(what) + " failed; it will be tried again",
             {{"tenant", tenant.name}, {"error", outcome.error()}});
  return false;
}

void StoreImpl::cut_round() {
  std::lock_guard lock(cutting_mutex_);
  wake_.store(false);
  bool cut = false;
  // Under memory pressure the largest heads go first, until what is left is well below the limit.
  std::vector<std::pair<std::uint64_t, std::shared_ptr<Tenant>>> tenants;
  for (auto& tenant : all_tenants()) {
    std::uint64_t bytes = 0;
    for (const auto& head : tenant->view()->heads) bytes += head->memory_bytes();
    tenants.emplace_back(bytes, std::move(tenant));
  }
  std::ranges::stable_sort(tenants, std::greater<>(), [](const auto& entry) { return entry.first; });
  for (const auto& [bytes, tenant] : tenants) {
    if (waits(tenant->next_try)) continue;
    const bool squeezed = head_memory_->load() >= static_cast<std::int64_t>(options_.head_memory / 4 * 3);
    // A full disk: segments are smaller than the journal that they free.
    const bool due = squeezed || cut_due(*tenant) || (!disk_.check() && bytes > 0);
    if (!due && tenant->view()->heads.size() <= 1) continue;
    cut = report(*tenant, metrics_.cut_failures, tenant->next_try, "writing a head", cut_tenant(*tenant, due)) || cut;
  }
  if (!cut) return;
  merge_wanted_.store(true);
  slow_wake_.notify_all();
  if (auto trimmed = trim_journal(); !trimmed) {
    log::error("logs", "cannot trim the journal", {{"error", trimmed.error()}});
  }
}

void StoreImpl::merge_round() {
  std::lock_guard lock(merging_mutex_);
  for (const auto& tenant : all_tenants()) {
    if (stopping_.load()) return;
    save_spilled(*tenant);
    warn_of_growth(*tenant);
    if (waits(tenant->next_merge_try)) continue;
    auto went = [&](std::string_view what, const Result<>& outcome) {
      return report(*tenant, metrics_.merge_failures, tenant->next_merge_try, what, outcome);
    };
    if (!went("retention", retire_expired(*tenant)) || !went("a delete request", work_on_deletes(*tenant))) continue;
    // What a full disk has left is for cuts; merges wait for retention to free some.
    if (disk_.full()) continue;
    if (auto task = merge_task(*tenant)) went("a merge", merge(*tenant, *task));
  }
}

// A clock that went back must not make anybody wait longer than a failure does.
bool StoreImpl::waits(const std::atomic<TimestampMs>& next_try) const {
  const TimestampMs left = next_try.load() - now();
  return left > 0 && left <= kTryAgain;
}

void StoreImpl::run_cuts(std::stop_token stop) {
  pthread_setname_np(pthread_self(), "logs-store");
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(background_mutex_);
      cut_wake_.wait_for(lock, stop, std::chrono::seconds(1), [&] { return wake_.load(); });
    }
    if (!stop.stop_requested()) cut_round();
    let_wait_end();
  }
}

void StoreImpl::run_merges(std::stop_token stop) {
  pthread_setname_np(pthread_self(), "logs-merge");
  work_when_idle();
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(background_mutex_);
      slow_wake_.wait_for(lock, stop, std::chrono::seconds(1), [&] { return merge_wanted_.load(); });
    }
    merge_wanted_.store(false);
    if (!stop.stop_requested()) merge_round();
  }
}

void StoreImpl::run_blooms(std::stop_token stop) {
  pthread_setname_np(pthread_self(), "logs-blooms");
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(background_mutex_);
      slow_wake_.wait_for(lock, stop, std::chrono::milliseconds(500), [] { return false; });
    }
    for (const auto& tenant : all_tenants()) {
      if (stop.stop_requested()) return;
      auto view = tenant->view();
      if (view->heads.empty()) continue;
      Head& newest = *view->heads.back();
      if (now() - newest.created() >= options_.bloom_age.count() || newest.created() > now()) {
        newest.build_blooms(tenant->stripes);
      }
    }
  }
}

void StoreImpl::end_threads() {
  stopping_.store(true);
  for (std::jthread* thread : {&cuts_, &merges_, &blooms_}) thread->request_stop();
  cut_wake_.notify_all();
  slow_wake_.notify_all();
  for (std::jthread* thread : {&cuts_, &merges_, &blooms_}) {
    if (thread->joinable()) thread->join();
  }
  let_wait_end();
}

Result<> StoreImpl::close() {
  end_threads();
  if (closed_) return {};
  closed_ = true;
  for (const auto& tenant : all_tenants()) save_spilled(*tenant);
  return flush({});
}

}  // namespace tocayo::logs
