// SPDX-License-Identifier: Apache-2.0
#include "main/logs_part.h"

#include <chrono>

#include "core/log.h"
#include "core/text.h"
#include "logql/pipeline/pipeline.h"
#include "logql/syntax/parser.h"
#include "logs/api/level_detect.h"

namespace tocayo {

namespace {

constexpr auto kOverridesEvery = std::chrono::seconds(10);

Result<logs::api::LogLimits> base_limits(const Config& config) {
  auto limits = config.text("logs.compat") == "loki" ? logs::api::LogLimits::of_loki() : logs::api::LogLimits();
  limits = TRY(logs::api::parse_log_limits(config.tree("logs.limits"), "logs.limits", limits));
  if (const auto period = config.duration("logs.retention_period"); period.count() > 0) {
    limits.store.retention_period = std::chrono::duration_cast<std::chrono::seconds>(period);
  }
  return limits;
}

Result<std::string> read_overrides(const std::string& file) {
  if (file.empty()) return std::string();
  auto text = read_file(file, 64 << 20);
  if (!text && text.error().kind == ErrorKind::not_found) return std::string();
  return text;
}

// The rows that the query of a delete request selects.
Result<logs::DeleteFilter> compile_delete(std::string_view, std::string_view query) {
  const auto log = TRY(logql::parse_log(query));
  logs::DeleteFilter filter;
  filter.matchers = log.matchers;
  if (log.stages.empty()) return filter;
  struct Run {
    explicit Run(logql::Pipeline pipeline) : processor(std::move(pipeline)) {}
    std::mutex mutex;
    logql::Processor processor;
    Labels stream;
    bool started = false;
  };
  auto run = std::make_shared<Run>(TRY(logql::Pipeline::compile(log.stages)));
  filter.row = [run](const Labels& labels, const logs::Row& row) {
    std::scoped_lock lock(run->mutex);
    if (!run->started || run->stream != labels) {
      run->stream = labels;
      run->processor.set_stream(run->stream);
      run->started = true;
    }
    return run->processor.process(row.time, row.line, row.metadata);
  };
  return filter;
}

}  // namespace

Result<std::unique_ptr<LogsPart>> LogsPart::open(const Config& config, Options options) {
  std::unique_ptr<LogsPart> part(new LogsPart());
  part->options_ = options;
  part->base_ = TRY(base_limits(config));
  part->overrides_file_ = config.text("overrides_file");
  part->overrides_text_ = TRY(read_overrides(part->overrides_file_));
  part->limits_ = std::make_unique<logs::api::LogLimitsService>(part->base_);
  TRY(part->limits_->reload(part->base_, part->overrides_text_, part->overrides_file_));
  logql::EngineOptions engine;
  engine.memory_budget = options.memory_limit / 4;
  engine.partial_cache = options.memory_limit / 32;
  engine.spill_directory = options.data_dir + "/spill";
  engine.spill_bytes = config.bytes("logs.query.spill");
  part->engine_ = std::make_unique<logql::Engine>(engine);

  auto* limits = part->limits_.get();
  logs::StoreOptions store;
  store.dir = options.data_dir + "/logs";
  store.database = options.database;
  store.journal_mode = TRY(journal::parse_sync_mode(config.text("logs.wal.mode")));
  store.cut_bytes = config.bytes("logs.head.cut_bytes");
  store.cut_age = config.duration("logs.head.cut_age");
  store.head_memory = config.bytes("logs.head.memory");
  store.merge_settle = config.duration("logs.compaction.settle");
  store.limits = [limits](std::string_view tenant) {
    auto of_tenant = limits->of(tenant);
    const auto* values = &of_tenant->store;
    return std::shared_ptr<const logs::TenantLimits>(std::move(of_tenant), values);
  };
  store.compile_delete = compile_delete;
  store.pool = options.compute;
  if (config.boolean("agent.enabled")) TRY(part->make_agent(config));

  logs::api::ApiDependencies api;
  api.store = &part->gate_;
  api.engine = part->engine_.get();
  api.compute = options.compute;
  api.queries = options.queries;
  api.limits = [limits](std::string_view tenant) { return limits->of(tenant); };
  api.tocayo_version = options.version;
  api.revision = options.revision;
  api.push_door = options.push_door;
  api.still_allowed = options.still_allowed;
  part->api_ = std::make_unique<logs::api::LogsApi>(std::move(api));
  auto listeners = TRY(syslog::parse_config(config.tree("logs.syslog"), "logs.syslog"));
  if (!listeners.empty()) part->syslog_ = TRY(syslog::Receiver::start(std::move(listeners), part->api_->push()));
  if (!part->overrides_file_.empty()) {
    part->watcher_ = std::jthread([self = part.get()](std::stop_token stop) { self->watch_overrides(stop); });
  }
  part->opener_ =
      std::jthread([self = part.get(), store = std::move(store)]() mutable { self->open_store(std::move(store)); });
  return part;
}

LogsPart::~LogsPart() {
  syslog_.reset();
  opener_ = {};
  watcher_ = {};
}

void LogsPart::open_store(logs::StoreOptions options) {
  const auto began = std::chrono::steady_clock::now();
  auto store = logs::Store::open(std::move(options));
  if (store) {
    gate_.open(std::move(*store));
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
    log::info("main", "the log store is ready", {{"milliseconds", took.count()}});
  } else {
    log::error("main", "cannot open the log store", {{"error", store.error()}});
  }
  std::scoped_lock lock(open_mutex_);
  if (!store) opened_ = std::unexpected(std::move(store.error()));
  open_ended_ = true;
  open_changed_.notify_all();
}

Result<> LogsPart::wait_open() {
  std::unique_lock lock(open_mutex_);
  open_changed_.wait(lock, [this] { return open_ended_; });
  return opened_;
}

void LogsPart::watch_overrides(std::stop_token stop) {
  std::string failed;
  std::unique_lock lock(mutex_);
  while (!stopping_.wait_for(lock, stop, kOverridesEvery, [] { return false; }) && !stop.stop_requested()) {
    auto text = read_overrides(overrides_file_);
    if (!text || *text == overrides_text_ || *text == failed) continue;
    if (auto done = limits_->reload(base_, *text, overrides_file_); !done) {
      log::error("main", "the overrides file is broken: the former limits of logs stay", {{"error", done.error()}});
      failed = std::move(*text);
    } else {
      overrides_text_ = std::move(*text);
    }
  }
}

Result<> LogsPart::make_agent(const Config& config) {
  agent::LogAgentOptions options;
  options.jobs = agent::machine_log_jobs(config.list("agent.log_files"), options.host);
  options.positions_file = options_.data_dir + "/logs/positions";
  agent::LogRules rules;
  rules.label = [limits = limits_.get(), tenant = options.tenant](Labels& labels) {
    const auto& names = limits->of(tenant)->discover_service_name;
    if (!names.empty() && !labels.has(logs::api::kServiceName))
      labels.set(logs::api::kServiceName, logs::api::service_name_of(labels, names));
  };
  rules.level = [](std::string_view line) { return logs::api::detect_level({}, line); };
  agent_ = TRY(agent::LogAgent::create(std::move(options), gate_, std::move(rules)));
  return {};
}

Result<> LogsPart::reload(const Config& config) {
  auto base = TRY(base_limits(config));
  std::scoped_lock lock(mutex_);
  auto text = TRY(read_overrides(overrides_file_));
  TRY(limits_->reload(base, text, overrides_file_));
  base_ = std::move(base);
  overrides_text_ = std::move(text);
  return {};
}

Result<> LogsPart::close() {
  watcher_ = {};
  syslog_.reset();
  if (agent_) agent_->stop();
  opener_ = {};  // a store that is still opening is closed as well
  return gate_.close();
}

}  // namespace tocayo
