// SPDX-License-Identifier: Apache-2.0
#include "main/program.h"

#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "agent/host/host_agent.h"
#include "agent/scrape/scraper.h"
#include "core/log.h"
#include "core/process_metrics.h"
#include "core/text.h"
#include "db/migrations.h"
#include "db/sqlite_database.h"
#include "events/api.h"
#include "events/service.h"
#include "http/client.h"
#include "http/server.h"
#include "main/agent_gaps.h"
#include "main/api_description.h"
#include "main/health.h"
#include "main/logs_part.h"
#include "main/refusals.h"
#include "main/scrape_view.h"
#include "main/store_gate.h"
#include "main/wiring.h"
#include "metrics/api/api.h"
#include "tenancy/api.h"
#include "tenancy/authenticator.h"
#include "tenancy/limits.h"
#include "tenancy/overrides.h"
#include "tenancy/service.h"
#include "ui/page.h"
#include "ui/routes.h"

#ifndef TOCAYO_REVISION
#define TOCAYO_REVISION "unknown"
#endif

namespace tocayo {

namespace ui {
std::span<const db::Migration> migrations();
}

std::string version_text() { return TOCAYO_VERSION; }
std::string compatible_prometheus_version() { return "3.14.0"; }

std::string host_name() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

namespace {

// The path of an URL without its last slash: "https://x/tocayo/" -> "/tocayo".
std::string path_of_url(const std::string& url) {
  auto scheme = url.find("://");
  if (scheme == std::string::npos) return {};
  auto slash = url.find('/', scheme + 3);
  std::string path = slash == std::string::npos ? std::string() : url.substr(slash);
  while (path.ends_with('/')) path.pop_back();
  return path;
}

// Whether the configuration in effect is the newest one.
void show_reload(bool successful) {
  Registry& registry = Registry::global();
  registry.gauge("tocayo_config_last_reload_successful", "Whether the last reload of the configuration went well.")
      .set(successful ? 1 : 0);
  registry
      .gauge("prometheus_config_last_reload_successful",
             "Whether the last configuration reload attempt was successful.")
      .set(successful ? 1 : 0);
}

constexpr int kQueryNiceness = 5;  // a third of the weight of what comes in

class ProgramImpl final : public Program {
 public:
  explicit ProgramImpl(ProgramOptions options)
      : config_(std::make_shared<const Config>(std::move(options.config))),
        reload_config_(std::move(options.reload)),
        port_file_(std::move(options.port_file)),
        compute_("compute", std::max(2U, std::thread::hardware_concurrency())),
        queries_("queries", std::max(8U, 4 * std::thread::hardware_concurrency()), kQueryNiceness) {}
  ~ProgramImpl() override {
    if (!stopped_) (void)stop();
  }

  Result<> begin();
  Result<> reload() override;
  Result<> stop() override;
  std::string address() const override { return server_->address(); }

 private:
  std::shared_ptr<const Config> config() const {
    std::lock_guard lock(config_mutex_);
    return config_;
  }
  Result<> open_control();
  Result<> open_api();
  Result<> open_server();
  void open_store();
  Result<> open_agent();
  // Reads the file of agent.config; an empty file name is no jobs.
  static Result<agent::ScrapeFile> read_scrape_file(const Config& config);
  // Whether what opened a live socket would be let in again.
  Task<bool> may_still_read(http::Request opener);
  std::vector<ui::HomeEvent> home_events(const std::string& tenant);
  // Tells the record of events; blocking.
  void note(std::string kind, std::string title, std::string detail);

  mutable std::mutex config_mutex_;
  std::shared_ptr<const Config> config_;  // shared: readers keep the one they began with
  std::function<Result<Config>()> reload_config_;
  std::string port_file_;
  std::string data_dir_, base_path_;
  bool login_required_ = false;
  TimestampMs start_time_ = Clock::system().now_ms();
  std::atomic<TimestampMs> reload_time_{start_time_};
  std::mutex reload_mutex_;
  std::string reload_error_;  // guarded by config_mutex_
  bool stopped_ = false;

  // In order of construction; destroyed in reverse.
  Pool compute_;
  Pool queries_;  // more threads than processors: a short query does not wait for long ones
  std::unique_ptr<db::Database> database_;
  std::unique_ptr<tenancy::Service> tenancy_;
  std::unique_ptr<tenancy::LimitsService> limits_;
  std::unique_ptr<QueryLimitsCache> query_limits_;
  std::unique_ptr<events::Service> events_;
  std::unique_ptr<http::Authenticator> authenticator_;
  StoreGate store_;
  std::shared_ptr<metrics::ReplayProgress> replay_ = std::make_shared<metrics::ReplayProgress>();
  std::unique_ptr<http::Client> client_;
  std::unique_ptr<agent::Scraper> scraper_;
  std::unique_ptr<metrics::api::TargetProvider> targets_;
  std::unique_ptr<promql::Engine> engine_;
  std::unique_ptr<metrics::api::NotificationHub> notifications_;
  std::unique_ptr<metrics::api::SequenceLog> sequences_;
  std::unique_ptr<metrics::api::MetricsApi> metrics_api_;
  std::unique_ptr<LogsPart> logs_;
  std::unique_ptr<ui::ShortLinks> short_links_;
  std::unique_ptr<ui::Reads> reads_;
  ui::Vitals vitals_{Registry::global()};
  std::unique_ptr<ui::LiveHub> live_;
  std::unique_ptr<ui::UiDependencies> ui_;
  http::Router router_;
  std::unique_ptr<agent::HostAgent> agent_;
  std::unique_ptr<http::Server> server_;
};

Result<> ProgramImpl::begin() {
  // Threads come and go with load: without a bound every one of them would keep an arena of its own.
  ::mallopt(M_ARENA_MAX, 4);
  add_process_metrics(Registry::global());
  auto config = this->config();
  data_dir_ = config->text("storage.data_dir");
  base_path_ = config->text("server.base_path");
  if (base_path_.empty()) base_path_ = path_of_url(config->text("server.external_url"));
  std::error_code code;
  std::filesystem::create_directories(data_dir_, code);
  if (code)
    return fail(ErrorKind::unavailable,
                fmt::format("storage.data_dir: cannot create {}: {}", data_dir_, code.message()));
  std::filesystem::permissions(data_dir_, std::filesystem::perms::owner_all, code);

  TRY(open_control());
  TRY(open_api());
  TRY(open_server());
  open_store();
  if (!store_.get()) return fail(ErrorKind::unavailable, "the metrics store did not open; see the log");
  TRY(logs_->wait_open());
  TRY(open_agent());
  show_reload(true);
  note("tocayo.start", fmt::format("Tocayo {} started", version_text()),
       fmt::format("listening on {}", server_->address()));
  return {};
}

void ProgramImpl::note(std::string kind, std::string title, std::string detail) {
  events::Event event;
  event.tenant = "anonymous";
  event.kind = std::move(kind);
  event.source = "tocayo";
  event.title = std::move(title);
  event.detail = std::move(detail);
  if (auto done = sync_wait(events_->record_now(std::move(event))); !done) {
    log::warn("main", "an event was not recorded", {{"error", done.error()}});
  }
}

Result<> ProgramImpl::open_control() {
  auto config = this->config();
  auto mode = TRY(tenancy::parse_auth_mode(config->text("auth.mode")));
  login_required_ = TRY(tenancy::resolve_login_required(mode, config->text("server.listen"),
                                                        config->boolean("auth.allow_off_on_public_address")));
  database_ = TRY(db::SqliteDatabase::open({.file = data_dir_ + "/db/tocayo.db"}));
  tenancy::ServiceOptions options;
  options.login_required = login_required_;
  options.key_file = data_dir_ + "/db/instance.key";
  tenancy_ = TRY(tenancy::Service::open(*database_, options));
  limits_ = TRY(tenancy::LimitsService::open({.login_required = login_required_,
                                              .limits_yaml = config->tree("limits"),
                                              .overrides_file = config->text("overrides_file")}));
  events_ = TRY(events::Service::open(*database_, {}));
  TRY(db::migrate(*database_, "ui", ui::migrations()));
  tenancy::AuthenticatorOptions authentication;
  authentication.origin.listen = config->text("server.listen");
  authentication.origin.external_url = config->text("server.external_url");
  authentication.origin.cors_origins = config->list("server.cors_origins");
  authentication.origin.machine_name = host_name();
  authenticator_ = TRY(tenancy::make_authenticator(*tenancy_, authentication));
  return {};
}

std::vector<ui::HomeEvent> ProgramImpl::home_events(const std::string& tenant) {
  std::vector<ui::HomeEvent> list;
  auto page = sync_wait(events_->list(tenant, {}, "", 20));
  if (!page) return list;
  for (const auto& event : page->events) list.push_back({event.time_ms, event.kind, event.title, event.detail});
  return list;
}

Task<bool> ProgramImpl::may_still_read(http::Request opener) {
  const std::string tenant = opener.identity.tenant;
  auto admitted = co_await authenticator_->authenticate(opener, {.access = http::Access::read});
  // A shortage of the control store is no reason to throw everybody out.
  if (!admitted) co_return admitted.error().kind == ErrorKind::unavailable;
  co_return opener.identity.tenant == tenant;
}

Result<> ProgramImpl::open_api() {
  auto config = this->config();
  engine_ = std::make_unique<promql::Engine>(TRY(engine_options(*config)));
  client_ = http::Client::create();
  scraper_ = agent::Scraper::create({.user_agent = "Tocayo/" + version_text()}, *client_, store_, compute_);
  targets_ = make_target_provider(*scraper_);
  notifications_ = std::make_unique<metrics::api::NotificationHub>(compute_);
  metrics::api::ApiDependencies api;
  connect_store(api, store_);
  api.engine = engine_.get();
  api.compute = &compute_;
  api.queries = &queries_;
  api.limits = [this](std::string_view tenant) { return api_limits(*limits_->limits(tenant)); };
  query_limits_ = std::make_unique<QueryLimitsCache>(*limits_);
  api.query_limits = [this](std::string_view tenant) { return query_limits_->get(tenant); };
  std::uint64_t memory_limit = config->bytes("memory.limit");
  if (memory_limit == 0) memory_limit = default_memory_limit();
  api.memory.limit = memory_limit;
  api.memory.give_back = [] { ::malloc_trim(0); };
  api.notifications = notifications_.get();
  api.targets = targets_.get();
  sequences_ = TRY(metrics::api::SequenceLog::open(data_dir_ + "/db/collector_sequences"));
  api.sequences = sequences_.get();
  api.record_gap = gap_recorder(*events_);
  api.replay = [this] {
    return metrics::api::ReplayProgress{static_cast<std::int64_t>(replay_->first.load()),
                                        static_cast<std::int64_t>(replay_->last.load()),
                                        static_cast<std::int64_t>(replay_->current.load())};
  };
  api.ready = [this] { return store_.get() != nullptr && logs_->ready(); };
  api.config_yaml = [this] { return this->config()->to_yaml(false); };
  api.last_config_reload = [this] { return reload_time_.load(); };
  api.storage_retention = format_duration(config->duration("metrics.retention.time"));
  api.version = compatible_prometheus_version();
  api.tocayo_version = version_text();
  api.revision = TOCAYO_REVISION;
  api.query_concurrency = static_cast<std::size_t>(config->integer("metrics.query.max_concurrency"));
  metrics_api_ = std::make_unique<metrics::api::MetricsApi>(std::move(api));
  metrics_api_->mount(router_);
  metrics_api_->mount_operations(router_);
  logs_ = TRY(LogsPart::open(
      *config,
      {.data_dir = data_dir_,
       .database = database_.get(),
       .compute = &compute_,
       .queries = &queries_,
       .memory_limit = memory_limit,
       .version = version_text(),
       .revision = TOCAYO_REVISION,
       .push_door = [door = std::make_shared<metrics::api::SequenceDoor>(sequences_.get(), gap_recorder(*events_))](
                        http::Request& request, auto append) { return door->pass(request, std::move(append)); },
       .still_allowed = [this](const http::Request& opener) { return may_still_read(opener); }}));
  logs_->mount(router_);
  set_native_refusals(router_);
  tenancy::add_routes(
      router_, *tenancy_, *limits_,
      {.base_path = base_path_, .external_https = config->text("server.external_url").starts_with("https://")});
  events::add_routes(router_, *events_);
  add_description_routes(router_);

  router_.add("POST", "/-/reload",
              [this](http::Request&) -> Task<http::Response> {
                co_await compute_.schedule();
                if (auto done = reload(); !done) co_return http::error_response(done.error());
                co_return http::Response::text(200, "");
              },
              {.access = http::Access::instance_admin});

  short_links_ = std::make_unique<ui::ShortLinks>(*database_);
  reads_ = std::make_unique<ui::Reads>(ui::ReadDependencies{
      *engine_, [this](std::string_view tenant) { return query_limits_->get(tenant); },
      [this](std::string_view tenant, const Context& context) { return metrics_api_->read(tenant, context); },
      &queries_});
  live_ = std::make_unique<ui::LiveHub>(ui::LiveDependencies{
      .reads = *reads_,
      .compute = compute_,
      .enter = [this](std::string tenant, Context context) { return metrics_api_->enter(std::move(tenant), context); },
      .still_allowed = [this](const http::Request& opener) { return may_still_read(opener); }});
  ui::PageOptions page;
  page.web_dir = config->text("server.web_dir");
  page.base_path = base_path_;
  page.version = version_text();
  page.revision = TOCAYO_REVISION;
  page.prometheus_version = compatible_prometheus_version();
  page.hostname = host_name();
  page.start_time_ms = start_time_;
  page.login_required = login_required_;
  page.tls = !config->text("server.tls.cert_file").empty();
  ui::HomeDependencies home{.reads = *reads_};
  home.health = [this, memory_limit] {
    std::string error;
    {
      std::lock_guard lock(config_mutex_);
      error = reload_error_;
    }
    return check_health({store_, data_dir_, memory_limit, error});
  };
  home.events = [this](const std::string& tenant) { return home_events(tenant); };
  home.newest_sample = [this](std::string_view tenant) {
    return store_.get() ? store_.get()->newest_sample(tenant) : TimestampMs(0);
  };
  home.targets = targets_.get();
  home.version = version_text();
  home.start_time = start_time_;
  ui_ = std::make_unique<ui::UiDependencies>(
      ui::UiDependencies{page, std::move(home), *reads_, vitals_, *tenancy_, *short_links_, *live_, compute_});
  ui::add_routes(router_, *ui_);
  return {};
}

Result<> ProgramImpl::open_server() {
  auto config = this->config();
  http::ServerOptions options;
  options.listen = config->text("server.listen");
  options.base_path = base_path_;
  options.io_threads = static_cast<std::size_t>(std::max<std::int64_t>(1, config->integer("server.io_threads")));
  options.tls_certificate_file = config->text("server.tls.cert_file");
  options.tls_key_file = config->text("server.tls.key_file");
  options.max_connections = static_cast<std::size_t>(config->integer("server.max_connections"));
  options.cors_origins = config->list("server.cors_origins");
  options.default_headers = ui::security_headers(!options.tls_certificate_file.empty());
  server_ = TRY(http::Server::start(options, router_, *authenticator_));
  std::string scheme = options.tls_certificate_file.empty() ? "http://" : "https://";
  log::info("main", "listening", {{"address", server_->address()}, {"login", login_required_}});
  std::string url = config->text("server.external_url");
  if (url.empty()) url = scheme + server_->address() + base_path_;
  while (url.ends_with('/')) url.pop_back();
  std::fprintf(stderr, "\nTocayo %s is at %s\n\n", version_text().c_str(), url.c_str());
  if (auto token = tenancy_->take_setup_token()) {
    std::fprintf(stderr,
                 "Nobody can sign in yet. Make the first admin here (once, within a day):\n%s/setup?token=%s\n\n",
                 url.c_str(), token->c_str());
  }
  if (!port_file_.empty()) {
    std::ofstream(port_file_ + ".new") << server_->address() << "\n";
    std::filesystem::rename(port_file_ + ".new", port_file_);
  }
  return {};
}

void ProgramImpl::open_store() {
  auto config = this->config();
  auto options = store_options(*config);
  if (!options) {
    log::error("main", "cannot open the metrics store", {{"error", options.error()}});
    return;
  }
  class Limits final : public metrics::LimitsProvider {
   public:
    Limits(tenancy::LimitsService& limits, ProgramImpl& program) : limits_(limits), program_(program) {}
    metrics::StoreLimits store_limits(std::string_view tenant) const override {
      return tocayo::store_limits(*limits_.limits(tenant), program_.config()->duration("metrics.retention.time"));
    }

   private:
    tenancy::LimitsService& limits_;
    ProgramImpl& program_;
  };
  options->limits = std::make_shared<Limits>(*limits_, *this);
  options->pool = &compute_;
  options->progress = replay_;
  auto began = Context::Steady::now();
  auto store = metrics::Store::open(std::move(*options));
  if (!store) {
    log::error("main", "cannot open the metrics store", {{"error", store.error()}});
    return;
  }
  store_.open(std::move(*store));
  auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Context::Steady::now() - began).count();
  log::info("main", "the metrics store is ready", {{"milliseconds", took}});
}

Result<agent::ScrapeFile> ProgramImpl::read_scrape_file(const Config& config) {
  std::string path = config.text("agent.config");
  if (path.empty()) return agent::ScrapeFile();
  std::string text = TRY(read_file(path, 16 << 20));
  auto slash = path.rfind('/');
  auto file = TRY(agent::parse_scrape_file(text, path, slash == std::string::npos ? "" : path.substr(0, slash)));
  for (const std::string& warning : file.warnings) log::warn("main", warning);
  return file;
}

Result<> ProgramImpl::open_agent() {
  auto config = this->config();
  scraper_->apply(TRY(read_scrape_file(*config)));
  if (!config->boolean("agent.enabled")) return {};
  logs_->start_agent();
  agent::HostAgentOptions options;
  options.host.textfile_directories = {};
  if (std::string directory = config->text("agent.textfile_directory"); !directory.empty())
    options.host.textfile_directories = {directory};
  options.self_fast_names = {
      "tocayo_metrics_samples_appended_total",   "tocayo_metrics_active_series", "process_cpu_seconds_total",
      "process_resident_memory_bytes",           "tocayo_journal_fsync_seconds", "tocayo_http_requests_total",
      "prometheus_engine_query_duration_seconds"};
  agent_ = TRY(agent::HostAgent::create(std::move(options), store_));
  agent_->start();
  return {};
}

Result<> ProgramImpl::reload() {
  std::lock_guard guard(reload_mutex_);
  auto failed = [&](const Error& error) {
    show_reload(false);
    log::error("main", "the configuration was not reloaded", {{"error", error}});
    notifications_->add("Configuration reload has failed.");
    std::lock_guard lock(config_mutex_);
    reload_error_ = error.message;
  };
  auto next = reload_config_();
  if (!next) {
    failed(next.error());
    return std::unexpected(next.error());
  }
  auto jobs = read_scrape_file(*next);
  if (!jobs) {
    failed(jobs.error());
    return std::unexpected(jobs.error());
  }
  if (auto done = limits_->reload_limits(next->tree("limits")); !done) {
    failed(done.error());
    return std::unexpected(done.error());
  }
  if (auto done = logs_->reload(*next); !done) {
    failed(done.error());
    return std::unexpected(done.error());
  }
  scraper_->apply(std::move(*jobs));
  auto level = log::parse_level(next->text("server.log_level"));
  if (level) log::set_level(*level);
  for (const std::string& path : config()->changed_but_fixed(*next)) {
    log::warn("main", "this key takes effect at the next start", {{"key", path}});
  }
  if (auto tls = server_->reload_tls(); !tls)
    log::warn("main", "the certificate was not reloaded", {{"error", tls.error()}});
  {
    std::lock_guard lock(config_mutex_);
    config_ = std::make_shared<const Config>(std::move(*next));
    reload_error_.clear();
  }
  notifications_->remove("Configuration reload has failed.");
  reload_time_ = Clock::system().now_ms();
  show_reload(true);
  log::info("main", "configuration reloaded");
  note("config.reload", "Configuration reloaded", "");
  return {};
}

Result<> ProgramImpl::stop() {
  stopped_ = true;
  log::info("main", "stopping");
  if (scraper_) scraper_->stop();
  if (agent_) agent_->stop();
  live_.reset();
  if (server_) server_->stop(config()->duration("server.shutdown_grace"));
  agent_.reset();
  auto closed = store_.close();
  if (!closed) log::error("main", "the store did not close cleanly", {{"error", closed.error()}});
  if (logs_) {
    if (auto done = logs_->close(); !done) {
      log::error("main", "the log store did not close cleanly", {{"error", done.error()}});
      if (closed) closed = std::move(done);
    }
  }
  log::info("main", "stopped");
  return closed;
}

}  // namespace

Result<std::unique_ptr<Program>> Program::start(ProgramOptions options) {
  auto program = std::make_unique<ProgramImpl>(std::move(options));
  TRY(program->begin());
  return program;
}

}  // namespace tocayo
