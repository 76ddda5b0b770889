// SPDX-License-Identifier: Apache-2.0
// Opening and closing, tenants, figures about the store.
#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <queue>

#include "core/log.h"
#include "metrics/files.h"
#include "metrics/store_impl.h"

namespace tocayo::metrics {

Result<std::unique_ptr<Store>> Store::open(StoreOptions options) {
  auto store = std::make_unique<StoreImpl>(std::move(options));
  if (auto loaded = store->load(); !loaded) return std::unexpected(std::move(loaded.error()));
  return store;
}

namespace {

Counter& appended(std::string_view type) {
  return Registry::global().counter("tocayo_metrics_samples_appended_total", "Samples written to the store.",
                                    {{"type", std::string(type)}});
}
Counter& head_appended(std::string_view type) {
  return Registry::global().counter("prometheus_tsdb_head_samples_appended_total", "Total number of appended samples.",
                                    {{"type", std::string(type)}});
}
Counter& plain(std::string_view name, std::string_view help) { return Registry::global().counter(name, help); }

}  // namespace

StoreImpl::StoreImpl(StoreOptions options)
    : options_(std::move(options)),
      clock_(options_.clock != nullptr ? options_.clock : &Clock::system()),
      metrics_{appended("float"),
               appended("histogram"),
               plain("cortex_ingester_tsdb_exemplar_exemplars_appended_total", "Exemplars stored."),
               plain("tocayo_metrics_out_of_order_samples_total", "Accepted samples that came out of order."),
               plain("tocayo_metrics_series_created_total", "Series created in the head."),
               plain("tocayo_metrics_series_removed_total", "Series that left the head."),
               head_appended("float"),
               head_appended("histogram"),
               plain("prometheus_tsdb_head_series_created_total", "Total number of series created in the head."),
               plain("prometheus_tsdb_head_series_removed_total", "Total number of series removed in the head."),
               plain("prometheus_tsdb_out_of_order_samples_total", "Total number of out of order samples."),
               plain("tocayo_metrics_seals_total", "Segments written from the head."),
               plain("tocayo_metrics_seal_failures_total", "Failed attempts to write a segment."),
               plain("tocayo_metrics_checkpoints_total", "Checkpoints written."),
               plain("tocayo_metrics_checkpoint_failures_total", "Failed attempts to write a checkpoint."),
               plain("tocayo_metrics_replay_unknown_series_total",
                     "Replayed rows whose series definition was lost to damage."),
               Registry::global().gauge("prometheus_tsdb_data_replay_duration_seconds",
                                        "Time taken to replay the data on disk.")},
      last_checkpoint_(std::chrono::steady_clock::now()) {
  const auto nanos = static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
  epoch_ = (nanos * 0x9e3779b97f4a7c15ULL) >> 52 | 1;
}

StoreImpl::~StoreImpl() {
  if (background_.joinable()) {
    background_.request_stop();
    background_.join();
  }
  Registry::global().remove_collectors(this);
  partitions_.clear();
  if (lock_fd_ >= 0) ::close(lock_fd_);
}

Result<> StoreImpl::open_directory() {
  std::error_code error;
  std::filesystem::create_directories(options_.dir + "/segments", error);
  if (!error) std::filesystem::create_directories(options_.dir + "/checkpoint", error);
  if (error) return std::unexpected(error_from_errno("create " + options_.dir, error.value()));
  const std::string lock_path = options_.dir + "/LOCK";
  lock_fd_ = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (lock_fd_ < 0) return std::unexpected(error_from_errno("open " + lock_path, errno));
  if (::flock(lock_fd_, LOCK_EX | LOCK_NB) != 0) {
    return fail(ErrorKind::conflict, options_.dir + " is in use by another process");
  }
  std::size_t shards =
      options_.shards != 0 ? options_.shards : std::bit_ceil(std::max(1U, std::thread::hardware_concurrency()));
  shards = std::clamp<std::size_t>(std::bit_ceil(shards), 1, 64);
  const std::string format_path = options_.dir + "/FORMAT";
  if (auto text = read_file(format_path)) {
    unsigned version = 0;
    if (std::sscanf(text->c_str(), "tocayo metrics %u shards %zu", &version, &shards) != 2 || shards == 0 ||
        shards > 64) {
      return fail(ErrorKind::internal, format_path + ": not readable");
    }
    if (version > 1)
      return fail(ErrorKind::internal,
                  fmt::format("{}: version {} is newer than this program knows", format_path, version));
  } else if (text.error().kind != ErrorKind::not_found) {
    return std::unexpected(std::move(text.error()));
  } else if (auto written = replace_file(format_path, fmt::format("tocayo metrics 1 shards {}\n", shards)); !written) {
    return written;
  }
  shard_count_ = shards;
  shard_bits_ = static_cast<unsigned>(std::countr_zero(shards));
  checkpoint_positions_.assign(shards, 0);
  return {};
}

Result<> StoreImpl::load() {
  const auto start = std::chrono::steady_clock::now();
  if (auto opened = open_directory(); !opened) return opened;
  if (auto loaded = load_segments(); !loaded) return loaded;
  if (auto loaded = load_checkpoint(); !loaded) return loaded;
  journal_ = TRY(journal::open_local_journal({.dir = options_.dir + "/wal",
                                              .mode = options_.wal_mode,
                                              .batch_delay = options_.wal_batch_delay,
                                              .interval = options_.wal_interval,
                                              .segment_size = options_.wal_segment_size,
                                              .faults = options_.faults}));
  for (std::uint32_t shard = 0; shard < shard_count_; ++shard)
    partitions_.push_back(TRY(journal_->open_partition(shard)));
  clean_start_ = true;
  for (std::uint32_t shard = 0; shard < shard_count_; ++shard)
    clean_start_ = clean_start_ && partitions_[shard]->next() == checkpoint_positions_[shard];
  if (auto replayed = replay(); !replayed) return replayed;
  register_metrics();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  metrics_.replay_seconds.set(seconds);
  log::info("metrics", "store open", {{"dir", options_.dir}, {"shards", shard_count_}, {"seconds", seconds}});
  if (options_.background) {
    background_ = std::jthread([this](std::stop_token stop) {
      pthread_setname_np(pthread_self(), "metrics");
      run_background(stop);
    });
  }
  return {};
}

void StoreImpl::run_background(std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  while (!stop.stop_requested()) {
    wake.wait_for(lock, stop, std::chrono::seconds(1), [&] { return stop.stop_requested(); });
    if (!stop.stop_requested()) maintain();
  }
}

Result<> StoreImpl::close() {
  if (background_.joinable()) {
    background_.request_stop();
    background_.join();
  }
  if (std::exchange(closed_, true)) return {};
  return checkpoint();
}

std::shared_ptr<Tenant> StoreImpl::find_tenant(std::string_view name) const {
  std::shared_lock lock(tenants_mutex_);
  auto found = tenants_.find(name);
  return found == tenants_.end() ? nullptr : found->second;
}

std::shared_ptr<Tenant> StoreImpl::get_tenant(std::string_view name) {
  if (auto tenant = find_tenant(name)) return tenant;
  std::unique_lock lock(tenants_mutex_);
  auto& tenant = tenants_[std::string(name)];
  if (!tenant)
    tenant = std::make_shared<Tenant>(std::string(name), static_cast<std::uint32_t>(tenants_.size()), shard_count_);
  return tenant;
}

std::vector<std::shared_ptr<Tenant>> StoreImpl::all_tenants() const {
  std::shared_lock lock(tenants_mutex_);
  std::vector<std::shared_ptr<Tenant>> list;
  for (const auto& [name, tenant] : tenants_) list.push_back(tenant);
  return list;
}

TimestampMs StoreImpl::newest_sample(std::string_view name) const {
  auto tenant = find_tenant(name);
  TimestampMs newest = tenant ? tenant->max_time.load(std::memory_order_relaxed) : kMinTime;
  return newest == kMinTime ? 0 : newest;
}

std::vector<std::string> StoreImpl::tenants() const {
  std::vector<std::string> names;
  for (const auto& tenant : all_tenants()) names.push_back(tenant->name);
  return names;
}

Result<> StoreImpl::health() const {
  for (const auto& partition : partitions_) {
    if (auto health = partition->health(); !health) return health;
  }
  return {};
}

std::vector<MetadataRow> StoreImpl::metadata(std::string_view name, std::string_view metric, std::size_t limit,
                                             std::size_t limit_per_metric) const {
  auto tenant = find_tenant(name);
  return tenant ? tenant->metadata.rows(metric, limit, limit_per_metric) : std::vector<MetadataRow>{};
}

Result<std::vector<ExemplarSeries>> StoreImpl::exemplars(std::string_view name,
                                                         std::span<const std::vector<Matcher>> matcher_sets,
                                                         TimestampMs start, TimestampMs end) const {
  auto tenant = find_tenant(name);
  if (!tenant) return std::vector<ExemplarSeries>{};
  return tenant->exemplars.select(matcher_sets, start, end);
}

MemoryUse StoreImpl::memory() const {
  MemoryUse use;
  for (const auto& tenant : all_tenants()) {
    for (const auto& shard : tenant->shards) {
      std::shared_lock lock(shard->mutex);
      const HeadShard::Memory m = shard->memory();
      use.symbols += m.symbols;
      use.labels += m.labels;
      use.postings += m.postings;
      use.series += m.series;
      use.open += m.open;
    }
    use.exemplars += tenant->exemplars.memory_bytes();
  }
  return use;
}

HeadStats StoreImpl::head_stats(std::string_view name, std::size_t limit) const {
  HeadStats stats;
  auto tenant = find_tenant(name);
  if (!tenant) return stats;
  std::map<std::string, std::uint64_t, std::less<>> metrics, bytes;
  std::map<std::string, std::map<std::string, std::uint64_t, std::less<>>, std::less<>> pairs;
  TimestampMs min_time = kMaxTime;
  TimestampMs max_time = kMinTime;
  for (const auto& shard : tenant->shards) {
    std::shared_lock lock(shard->mutex);
    stats.series += shard->series_count();
    shard->for_each([&](const Series& series) {
      if (!series.has_rows()) return;
      min_time = std::min(min_time, series.min_time);
      max_time = std::max(max_time, series.max_time);
      stats.chunks += (series.block_rows + series.tail_count > 0 ? 1 : 0) +
                      (series.extra && series.extra->histogram_count > 0 ? 1 : 0);
    });
    for (const auto& [name_symbol, label] : shard->index().names()) {
      auto& values = pairs[std::string(shard->text(name_symbol))];
      for (const LabelIndex::Value& value : label.values) {
        std::uint64_t live = 0;
        for (SeriesId id : value.postings.ids()) live += shard->find(id) != nullptr ? 1 : 0;
        if (live > 0) values[std::string(shard->text(value.symbol))] += live;
      }
    }
  }
  if (min_time <= max_time) stats.min_time = min_time, stats.max_time = max_time;
  std::vector<HeadStats::Count> by_pair, by_values, by_bytes, by_metric;
  for (const auto& [label, values] : pairs) {
    std::uint64_t size = 0;
    for (const auto& [value, count] : values) {
      size += value.size();
      by_pair.push_back({label + "=" + value, count});
      if (label == kMetricName) by_metric.push_back({value, count});
    }
    stats.label_pairs += values.size();
    by_values.push_back({label, values.size()});
    by_bytes.push_back({label, size});
  }
  auto top = [limit](std::vector<HeadStats::Count> list) {
    std::sort(list.begin(), list.end(),
              [](const auto& a, const auto& b) { return a.value != b.value ? a.value > b.value : a.name < b.name; });
    if (list.size() > limit) list.resize(limit);
    return list;
  };
  stats.series_by_metric = top(std::move(by_metric));
  stats.values_by_label = top(std::move(by_values));
  stats.bytes_by_label = top(std::move(by_bytes));
  stats.series_by_pair = top(std::move(by_pair));
  return stats;
}

void StoreImpl::register_metrics() {
  Registry::global().add_collector(this, [this](std::vector<Registry::Family>& families) {
    auto gauge = [&](std::string_view name, std::string_view help) -> Registry::Family& {
      return families.emplace_back(Registry::Family{std::string(name), std::string(help), MetricType::gauge, {}});
    };
    auto single = [&](std::string_view name, std::string_view help, double value) {
      auto& family = gauge(name, help);
      family.samples.push_back({"", {}, value});
    };
    const auto tenants = all_tenants();
    std::size_t series = 0;
    TimestampMs newest = kMinTime;
    for (const auto& tenant : tenants) {
      series += tenant->series_count();
      newest = std::max(newest, tenant->max_time.load());
    }
    single("tocayo_metrics_active_series", "Series in the head.", static_cast<double>(series));
    single("prometheus_tsdb_head_series", "Total number of series in the head block.", static_cast<double>(series));
    single("cortex_ingester_memory_series", "The current number of series in memory.", static_cast<double>(series));
    single("cortex_ingester_memory_users", "The current number of users in memory.",
           static_cast<double>(tenants.size()));
    single("cortex_ingester_tsdb_head_max_timestamp_seconds", "Newest sample of all tenants.",
           newest == kMinTime ? 0 : static_cast<double>(newest) / 1000);
    auto& active = gauge("cortex_ingester_active_series", "Number of currently active series per user.");
    for (const auto& tenant : tenants) {
      active.samples.push_back({"", {{"user", tenant->name}}, static_cast<double>(tenant->series_count())});
    }
    std::uint64_t wal = 0;
    for (const auto& partition : partitions_) wal += partition->bytes();
    single("prometheus_tsdb_head_chunks", "Total number of chunks in the head block: one open one per series.",
           static_cast<double>(series));
    single("prometheus_tsdb_clean_start", "1: the last shutdown left nothing to replay; 0: it did.",
           clean_start_ ? 1 : 0);
    journal::Position newest_position = 0;
    for (const auto& partition : partitions_) newest_position = std::max(newest_position, partition->next());
    single("prometheus_tsdb_wal_segment_current", "Write log segment index that is currently written to.",
           static_cast<double>(newest_position / std::max<std::uint64_t>(options_.wal_segment_size, 1)));
    auto& failed = families.emplace_back(Registry::Family{"prometheus_tsdb_compactions_failed_total",
                                                          "Segments of the head that could not be written.",
                                                          MetricType::counter,
                                                          {}});
    failed.samples.push_back({"", {}, metrics_.seal_failures.value()});
    single("prometheus_tsdb_wal_storage_size_bytes", "Size of the write log directory.", static_cast<double>(wal));
    std::uint64_t sealed = 0;
    std::size_t count = 0;
    for (const auto& tenant : tenants) {
      for (const SegmentEntry& entry : *tenant->segments()) {
        sealed += entry.segment->file_bytes();
        ++count;
      }
    }
    single("prometheus_tsdb_storage_blocks_bytes", "The number of bytes used for local storage by all blocks.",
           static_cast<double>(sealed));
    single("cortex_ingester_tsdb_storage_blocks_bytes", "Bytes of local storage used by all blocks.",
           static_cast<double>(sealed));
    single("tocayo_metrics_segments", "Sealed segment files.", static_cast<double>(count));
    const MemoryUse use = memory();
    auto& bytes = gauge("tocayo_memory_bytes", "Memory in use, by component.");
    const std::pair<const char*, std::uint64_t> parts[] = {{"symbols", use.symbols},   {"labels", use.labels},
                                                           {"postings", use.postings}, {"series", use.series},
                                                           {"open", use.open},         {"exemplars", use.exemplars}};
    for (const auto& [component, value] : parts) {
      bytes.samples.push_back({"", {{"component", component}}, static_cast<double>(value)});
    }
  });
}

}  // namespace tocayo::metrics
