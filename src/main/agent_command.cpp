// SPDX-License-Identifier: Apache-2.0
#include "main/agent_command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <malloc.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>

#include "agent/host/host_agent.h"
#include "agent/host/text_format.h"
#include "agent/scrape/scraper.h"
#include "agent/ship/fan_out.h"
#include "core/log.h"
#include "core/process_metrics.h"
#include "core/text.h"
#include "http/server.h"
#include "main/agent_config.h"
#include "main/agent_logs.h"
#include "main/agent_pages.h"
#include "main/program.h"

namespace tocayo {
namespace {

constexpr std::chrono::seconds kWatchInterval{2};  // of configuration files
constexpr std::chrono::seconds kFlushPatience{5};  // at the end; what is left is sent after the next start

std::string default_data_dir() {
  if (::geteuid() == 0) return "/var/lib/tocayo-agent";
  if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && *state == '/')
    return std::string(state) + "/tocayo-agent";
  const char* home = std::getenv("HOME");
  return std::string(home != nullptr ? home : ".") + "/.local/state/tocayo-agent";
}

// The agent's pages are open: by default only this machine reaches them. What changes something does not listen to
// browsers.
class OpenDoor final : public http::Authenticator {
 public:
  Task<Result<>> authenticate(http::Request& request, const http::RouteOptions& options) override {
    if (options.access != http::Access::open && request.headers.has("Origin"))
      co_return fail(ErrorKind::forbidden, "not from a web page");
    request.identity.role = http::Role::admin;
    co_return Result<>();
  }
};

// Life cycle: start, (reload), stop. Owned by run_agent's thread; reload may come from a request as well.
class AgentProgram {
 public:
  explicit AgentProgram(AgentArguments arguments)
      : arguments_(std::move(arguments)), compute_("agent-compute", 1), fan_out_(compute_) {}

  Result<> start(AgentConfig config) {
    data_dir_ = arguments_.data_dir.empty() ? default_data_dir() : arguments_.data_dir;
    std::error_code code;
    std::filesystem::create_directories(data_dir_, code);
    if (code) return std::unexpected(error_from_errno("--data-dir: create " + data_dir_, code.value()));
    // Two senders of one queue would send everything twice.
    lock_ = ::open((data_dir_ + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (lock_ < 0) return std::unexpected(error_from_errno("open " + data_dir_ + "/lock", errno));
    if (::flock(lock_, LOCK_EX | LOCK_NB) != 0)
      return fail(ErrorKind::conflict, "--data-dir: another agent uses " + data_dir_);
    client_ = http::Client::create();
    logs_ = std::make_unique<AgentLogs>(data_dir_, "Tocayo/" + version_text(), *client_, compute_);
    TRY(logs_->prepare(config));
    TRY(apply_destinations(config));
    TRY(logs_->apply_queues(config));
    scraper_ = agent::Scraper::create({.user_agent = "Tocayo/" + version_text()}, *client_, fan_out_, compute_);
    for (const std::string& warning : config.scrape.warnings) log::warn("agent", warning);
    scraper_->apply(std::move(config.scrape));
    TRY(apply_host(config));
    TRY(logs_->apply_jobs(config));
    take_rest(std::move(config));
    reloaded(true);
    TRY(open_server());
    remember_files();
    return {};
  }

  Result<> reload() {
    std::lock_guard guard(reload_mutex_);
    auto config = read_agent_config(arguments_);
    Result<> done;
    if (!config)
      done = std::unexpected(config.error());
    else
      done = logs_->prepare(*config);
    if (done) done = apply_destinations(*config);
    if (done) done = logs_->apply_queues(*config);
    if (done) done = apply_host(*config);
    if (done) done = logs_->apply_jobs(*config);
    if (!done) {
      log::error("agent", "the configuration was not reloaded", {{"error", done.error()}});
      reloaded(false);
      return done;
    }
    for (const std::string& warning : config->scrape.warnings) log::warn("agent", warning);
    scraper_->apply(std::move(config->scrape));
    take_rest(std::move(*config));
    reloaded(true);
    log::info("agent", "configuration reloaded");
    return {};
  }

  // Whether a configuration file is another one than when it was last looked at.
  bool files_changed() {
    auto before = files_;
    remember_files();
    return before != files_;
  }

  void stop() {
    log::info("agent", "stopping");
    if (scraper_) scraper_->stop();
    {
      std::lock_guard lock(host_mutex_);
      if (host_) host_->stop();
    }
    if (compat_server_) compat_server_->stop(std::chrono::seconds(1));
    if (server_) server_->stop(std::chrono::seconds(1));
    auto queues = fan_out_.queues();
    auto until = std::chrono::steady_clock::now() + kFlushPatience;
    for (const auto& queue : *queues) {
      auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
      queue->stop(std::max(left, std::chrono::milliseconds(0)));
    }
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    logs_->stop(std::max(left, std::chrono::milliseconds(500)));
    log::info("agent", "stopped");
  }

  std::string address() const { return server_->address(); }

 private:
  // All or nothing: new queues are opened before any old one is touched.
  Result<> apply_destinations(const AgentConfig& config) {
    const std::vector<agent::Destination>& destinations = config.destinations;
    std::map<std::string, std::shared_ptr<agent::ShipQueue>> opened;
    for (const auto& destination : destinations) {
      if (queues_.contains(destination.name)) continue;
      agent::ShipQueueOptions options;
      options.dir = data_dir_ + "/queues/" + agent::directory_name(destination);
      options.user_agent = "Tocayo/" + version_text();
      options.host = config.instance.empty() ? host_name() : config.instance;
      opened[destination.name] =
          std::shared_ptr(TRY(agent::ShipQueue::open(std::move(options), destination, *client_)));
    }
    std::map<std::string, std::shared_ptr<agent::ShipQueue>> next;
    agent::FanOut::Queues list;
    for (const auto& destination : destinations) {
      auto known = queues_.find(destination.name);
      if (known != queues_.end()) known->second->reconfigure(destination);
      auto& queue = next[destination.name] = known != queues_.end() ? known->second : opened[destination.name];
      list.push_back(queue);
    }
    fan_out_.set(std::move(list));
    queues_.swap(next);
    for (auto& [name, queue] : next) {
      if (queues_.contains(name)) continue;
      if (queue->status().pending_rows > 0)
        log::warn("agent", "a destination is gone from the configuration; its queue stays on disk",
                  {{"destination", name}});
      // Joined away from this thread's caller only when the last append has let go of it.
      queue->stop(std::chrono::milliseconds(0));
    }
    return {};
  }

  void remember_files() {
    files_.clear();
    for (const std::string& path : watched_) {
      struct stat info{};
      if (::stat(path.c_str(), &info) != 0) info = {};
      files_.push_back(
          fmt::format("{}:{}:{}.{}", info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec));
    }
  }

  void take_rest(AgentConfig config) {
    if (!config.log_level.empty()) log::set_level(*log::parse_level(config.log_level));
    std::lock_guard lock(yaml_mutex_);
    yaml_ = std::move(config.yaml);
    watched_ = std::move(config.files);
    for (const std::string& path : arguments_.configs) {
      if (std::find(watched_.begin(), watched_.end(), path) == watched_.end()) watched_.push_back(path);
    }
  }

  // This machine's own metrics. What did not change goes on without a gap.
  Result<> apply_host(const AgentConfig& config) {
    std::lock_guard lock(host_mutex_);
    if (config.host_settings == host_settings_) return {};
    std::shared_ptr<agent::HostAgent> next;
    std::shared_ptr<agent::HostCollectors> collectors;
    if (config.host_metrics) {
      agent::HostAgentOptions options;
      options.host = config.host;
      options.job = config.host_job;
      options.self_job = "tocayo-agent";
      options.instance = config.instance;
      options.fast_collectors.clear();
      options.fast_interval = options.interval;
      next = TRY(agent::HostAgent::create(std::move(options), fan_out_));
      collectors = std::shared_ptr<agent::HostCollectors>(next, &next->collectors());
    } else if (!arguments_.node_exporter_compat.empty()) {
      collectors = TRY(agent::HostCollectors::create(config.host));
    }
    if (host_) host_->stop();
    // Otherwise the host's process collector has them.
    if (next == nullptr && !std::exchange(process_metrics_, true)) add_process_metrics(Registry::global());
    host_ = std::move(next);
    collectors_ = std::move(collectors);
    host_settings_ = config.host_settings;
    if (host_) host_->start();
    return {};
  }

  std::shared_ptr<agent::HostCollectors> collectors() const {
    std::lock_guard lock(host_mutex_);
    return collectors_;
  }

  // node_exporter's answer to `?collect[]=…&exclude[]=…`; nothing without host metrics.
  Result<std::string> host_text(const http::Request& request) const {
    auto collectors = this->collectors();
    if (!collectors) return std::string();
    std::string_view target = request.target;
    auto question = target.find('?');
    auto selection = TRY(agent::selection_from_query(
        *collectors, question == std::string_view::npos ? std::string_view() : target.substr(question + 1)));
    return agent::host_metrics_text(*collectors, selection);
  }

  // A port on which this is node_exporter.
  Result<> open_compat() {
    if (arguments_.node_exporter_compat.empty()) return {};
    auto page = [this](std::string_view path, std::function<http::Response(http::Request&)> answer) {
      compat_router_.add("GET", path,
                         [this, answer = std::move(answer)](http::Request& request) -> Task<http::Response> {
                           co_await compute_.schedule();
                           co_return answer(request);
                         },
                         {.access = http::Access::open});
    };
    page("/metrics", [this](http::Request& request) {
      auto text = host_text(request);
      if (!text) {
        return http::Response::text(400, "Couldn't create filtered metrics handler: " + text.error().message + "\n");
      }
      return http::Response::text(200, std::move(*text), agent::kTextContentType);
    });
    page("/", [](http::Request&) {
      return http::Response::text(200,
                                  "<!DOCTYPE html><html lang=\"en\"><head><title>Node Exporter</title></head><body>"
                                  "<h1>Node Exporter</h1><p><a href=\"metrics\">Metrics</a></p></body></html>\n",
                                  "text/html; charset=utf-8");
    });
    http::ServerOptions options;
    options.listen = arguments_.node_exporter_compat;
    if (options.listen.starts_with(':')) options.listen.insert(0, "0.0.0.0");
    options.max_connections = 100;
    options.work_threads = 1;
    auto server = http::Server::start(options, compat_router_, door_);
    if (!server) return std::unexpected(std::move(server.error()).with_context("--node-exporter-compat"));
    compat_server_ = std::move(*server);
    log::info("agent", "listening as node_exporter", {{"address", compat_server_->address()}});
    return {};
  }

  void reloaded(bool good) {
    static Gauge& successful = Registry::global().gauge("tocayo_config_last_reload_successful",
                                                        "Whether the last reload of the configuration went well.");
    static Gauge& time = Registry::global().gauge("tocayo_config_last_reload_success_timestamp_seconds",
                                                  "When the configuration was last read without error.");
    successful.set(good ? 1 : 0);
    if (good) time.set(static_cast<double>(Clock::system().now_ms()) / 1000);
  }

  Result<> open_server() {
    auto page = [this](std::string_view path, std::function<http::Response(http::Request&)> answer) {
      router_.add("GET", path,
                  [this, answer = std::move(answer)](http::Request& request) -> Task<http::Response> {
                    co_await compute_.schedule();
                    co_return answer(request);
                  },
                  {.access = http::Access::open});
    };
    page("/-/healthy", [](http::Request&) { return http::Response::text(200, "Tocayo agent is Healthy.\n"); });
    page("/-/ready", [](http::Request&) { return http::Response::text(200, "Tocayo agent is Ready.\n"); });
    page("/metrics", [this](http::Request& request) {
      auto text = host_text(request);
      if (!text) return http::Response::text(400, text.error().message + "\n");
      return http::Response::text(200, *text + Registry::global().to_text(), agent::kTextContentType);
    });
    page("/service-discovery",
         [this](http::Request&) { return http::Response::json(200, service_discovery_json(*scraper_)); });
    page("/positions", [this](http::Request&) { return http::Response::json(200, positions_json(logs_->sources())); });
    page("/targets", [this](http::Request&) { return http::Response::json(200, targets_json(*scraper_)); });
    page("/queues",
         [this](http::Request&) { return http::Response::json(200, queues_json(fan_out_, logs_->queues())); });
    page("/config", [this](http::Request&) {
      std::lock_guard lock(yaml_mutex_);
      return http::Response::text(200, yaml_, "text/yaml; charset=utf-8");
    });
    router_.add("POST", "/-/reload",
                [this](http::Request&) -> Task<http::Response> {
                  co_await compute_.schedule();
                  if (auto done = reload(); !done) co_return http::error_response(done.error());
                  co_return http::Response::text(200, "");
                },
                {.access = http::Access::admin});
    http::ServerOptions options;
    options.listen = arguments_.listen;
    options.max_connections = 1000;
    options.work_threads = 1;
    TRY(open_compat());
    server_ = TRY(http::Server::start(options, router_, door_));
    log::info("agent", "listening", {{"address", server_->address()}});
    if (!arguments_.port_file.empty()) {
      std::ofstream(arguments_.port_file + ".new") << server_->address() << "\n";
      std::filesystem::rename(arguments_.port_file + ".new", arguments_.port_file);
    }
    return {};
  }

  const AgentArguments arguments_;
  std::string data_dir_;
  int lock_ = -1;  // held to the end of the process
  std::mutex reload_mutex_, yaml_mutex_;
  std::string yaml_;
  std::vector<std::string> watched_, files_;
  mutable std::mutex host_mutex_;
  std::string host_settings_ = "none yet";
  bool process_metrics_ = false;

  // In order of construction; destroyed in reverse.
  Pool compute_;
  std::unique_ptr<http::Client> client_;
  agent::FanOut fan_out_;
  std::map<std::string, std::shared_ptr<agent::ShipQueue>> queues_;
  std::unique_ptr<AgentLogs> logs_;
  std::unique_ptr<agent::Scraper> scraper_;
  std::shared_ptr<agent::HostAgent> host_;             // shared with pages being made, over a reload
  std::shared_ptr<agent::HostCollectors> collectors_;  // those of host_, or of --node-exporter-compat alone
  OpenDoor door_;
  http::Router router_, compat_router_;
  std::unique_ptr<http::Server> server_, compat_server_;
};

int fail_with(const Error& error) {
  std::fprintf(stderr, "tocayo agent: %s\n", error.message.c_str());
  return 1;
}

}  // namespace

int run_agent(const AgentArguments& arguments) {
  auto level = log::parse_level(arguments.log_level);
  if (!level) return fail_with(level.error());
  auto config = read_agent_config(arguments);
  if (!config) return fail_with(config.error());
  if (arguments.check_config) {
    std::cout << config->yaml;
    return 0;
  }
  log::set_level(*level);
  // Signals go to sigtimedwait below, in every thread.
  sigset_t signals;
  sigemptyset(&signals);
  for (int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, number);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  ::mallopt(M_ARENA_MAX, 2);
  AgentProgram program(arguments);
  if (auto started = program.start(std::move(*config)); !started) return fail_with(started.error());
  std::fprintf(stderr, "\nTocayo agent %s is at http://%s\n\n", version_text().c_str(), program.address().c_str());
  for (;;) {
    timespec wait{kWatchInterval.count(), 0};
    int number = ::sigtimedwait(&signals, nullptr, &wait);
    if (number == SIGINT || number == SIGTERM) break;
    bool changed = program.files_changed();
    if (number == SIGHUP || changed) (void)program.reload();  // says in the log what went wrong
  }
  program.stop();
  return 0;
}

}  // namespace tocayo
