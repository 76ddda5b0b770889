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
#include <boost/json.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <set>

#include "agent/host/host_agent.h"
#include "agent/host/text_format.h"
#include "agent/scrape/scraper.h"
#include "agent/ship/fan_out.h"
#include "core/log.h"
#include "core/process_metrics.h"
#include "core/text.h"
#include "http/server.h"
#include "main/config_keys.h"
#include "main/program.h"

namespace tocayo {
namespace {

namespace json = boost::json;

constexpr std::chrono::seconds kWatchInterval{2};  // of configuration files
constexpr std::chrono::seconds kFlushPatience{5};  // at the end; what is left is sent after the next start

struct AgentConfig {
  agent::ScrapeFile scrape;
  std::vector<agent::Destination> destinations;
  std::string yaml;  // as given, without secrets
};

Result<AgentConfig> read_config(const AgentArguments& arguments) {
  AgentConfig config;
  std::set<std::string> jobs, names;
  for (const std::string& path : arguments.configs) {
    std::string text = agent::expand_environment(TRY(read_file(path, 16 << 20)));
    auto slash = path.rfind('/');
    std::string directory = slash == std::string::npos ? "" : path.substr(0, slash);
    auto scrape = TRY(agent::parse_scrape_file(text, path, directory));
    for (auto& job : scrape.jobs) {
      if (!jobs.insert(job.job_name).second)
        return fail(ErrorKind::bad_input, fmt::format("{}: another file has the job \"{}\" too", path, job.job_name));
      config.scrape.jobs.push_back(std::move(job));
    }
    if (config.scrape.external_labels.empty()) config.scrape.external_labels = scrape.external_labels;
    for (auto& warning : scrape.warnings) {
      if (warning.find(" remote_write ") == std::string::npos) config.scrape.warnings.push_back(std::move(warning));
    }
    for (auto& destination : TRY(agent::parse_remote_write(text, path, directory))) {
      if (!names.insert(destination.name).second) {
        return fail(ErrorKind::bad_input,
                    fmt::format("{}: another file has the remote_write name \"{}\" too", path, destination.name));
      }
      config.destinations.push_back(std::move(destination));
    }
    config.yaml += fmt::format("# {}\n{}", path, TRY(agent::without_secrets(text, path)));
  }
  if (!arguments.server.empty()) {
    std::string_view server = arguments.server;
    while (server.ends_with('/')) server.remove_suffix(1);
    if (!server.starts_with("http://") && !server.starts_with("https://"))
      return fail(ErrorKind::bad_input, "--server must be an http:// or https:// URL");
    agent::Destination destination;
    destination.name = "server";
    if (!names.insert(destination.name).second)
      return fail(ErrorKind::bad_input, "the remote_write name \"server\" is that of --server");
    destination.url = std::string(server) + "/api/v1/push";
    destination.version = metrics::RemoteWriteVersion::v2;
    destination.negotiate = true;
    destination.queue.max_shards = 8;
    destination.queue.batch_send_deadline = std::chrono::seconds(1);
    destination.rules.external_labels = config.scrape.external_labels;
    destination.http.authorization = arguments.token;
    destination.http.authorization_file = arguments.token_file;
    destination.http.has_authorization = !arguments.token.empty() || !arguments.token_file.empty();
    config.yaml += fmt::format(
        "# --server\nremote_write:\n  - name: server\n    url: {}\n    protobuf_message: "
        "io.prometheus.write.v2.Request\n{}",
        agent::public_url(destination.url),
        destination.http.has_authorization ? "    authorization:\n      credentials: <secret>\n" : "");
    config.destinations.push_back(std::move(destination));
  }
  if (config.destinations.empty())
    return fail(ErrorKind::bad_input,
                "there is nowhere to send to: give --server URL, or a configuration file with remote_write");
  return config;
}

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

json::object labels_json(const Labels& labels) {
  json::object object;
  for (const Label& label : labels) object[label.name] = label.value;
  return object;
}

std::string targets_json(const agent::Scraper& scraper) {
  json::array active, dropped;
  for (const auto& target : scraper.active()) {
    active.push_back(
        {{"discoveredLabels", labels_json(target.discovered)},
         {"labels", labels_json(target.labels)},
         {"scrapePool", target.pool},
         {"scrapeUrl", target.url},
         {"globalUrl", target.url},
         {"lastError", target.last_error},
         {"lastScrape", target.last_scrape == 0 ? "0001-01-01T00:00:00Z" : format_rfc3339(target.last_scrape)},
         {"lastScrapeDuration", target.last_duration},
         {"health", target.health},
         {"scrapeInterval", format_duration(target.interval)},
         {"scrapeTimeout", format_duration(target.timeout)}});
  }
  for (const auto& target : scraper.dropped())
    dropped.push_back({{"discoveredLabels", labels_json(target.discovered)}, {"scrapePool", target.pool}});
  json::object counts;
  for (const auto& [pool, count] : scraper.dropped_counts()) counts[pool] = count;
  return json::serialize(json::object{{"status", "success"},
                                      {"data",
                                       {{"activeTargets", std::move(active)},
                                        {"droppedTargets", std::move(dropped)},
                                        {"droppedTargetCounts", std::move(counts)}}}});
}

std::string queues_json(const agent::FanOut& fan_out) {
  json::array list;
  auto queues = fan_out.queues();
  for (const auto& queue : *queues) {
    auto status = queue->status();
    auto time = [](TimestampMs at) { return at == 0 ? json::value() : json::value(format_rfc3339(at)); };
    list.push_back({{"destination", status.name},
                    {"url", status.url},
                    {"signal", "metrics"},
                    {"protocol", status.protocol},
                    {"directory", status.directory},
                    {"handedIn", status.handed_in},
                    {"delivered", status.delivered},
                    {"dropped", status.dropped},
                    {"pending", status.pending_rows},
                    {"pendingBytes", status.pending_bytes},
                    {"maxBytes", status.max_disk},
                    {"deadLetters", status.dead_letters},
                    {"retries", status.retries},
                    {"untoldGaps", status.untold_gaps},
                    {"exactlyOnce", status.numbered},
                    {"shards", status.shards},
                    {"lastSuccess", time(status.last_success)},
                    {"oldestPending", time(status.oldest_pending)},
                    {"lastError", status.last_error}});
  }
  return json::serialize(json::object{{"status", "success"}, {"data", {{"queues", std::move(list)}}}});
}

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
    TRY(apply_destinations(config.destinations));
    scraper_ = agent::Scraper::create({.user_agent = "Tocayo/" + version_text()}, *client_, fan_out_, compute_);
    for (const std::string& warning : config.scrape.warnings) log::warn("agent", warning);
    scraper_->apply(std::move(config.scrape));
    bool host = arguments_.host_metrics || (!arguments_.server.empty() && !arguments_.no_host_metrics);
    if (host) {
      agent::HostAgentOptions options;
      options.self_job = "tocayo-agent";
      options.instance = arguments_.instance;
      options.fast_collectors.clear();
      options.fast_interval = options.interval;
      host_ = TRY(agent::HostAgent::create(std::move(options), fan_out_));
      host_->start();
    } else {
      add_process_metrics(Registry::global());  // else the host's process collector has them
    }
    set_yaml(std::move(config.yaml));
    reloaded(true);
    TRY(open_server());
    remember_files();
    return {};
  }

  Result<> reload() {
    std::lock_guard guard(reload_mutex_);
    auto config = read_config(arguments_);
    Result<> done;
    if (!config)
      done = std::unexpected(config.error());
    else
      done = apply_destinations(config->destinations);
    if (!done) {
      log::error("agent", "the configuration was not reloaded", {{"error", done.error()}});
      reloaded(false);
      return done;
    }
    for (const std::string& warning : config->scrape.warnings) log::warn("agent", warning);
    scraper_->apply(std::move(config->scrape));
    set_yaml(std::move(config->yaml));
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
    if (host_) host_->stop();
    if (server_) server_->stop(std::chrono::seconds(1));
    auto queues = fan_out_.queues();
    auto until = std::chrono::steady_clock::now() + kFlushPatience;
    for (const auto& queue : *queues) {
      auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
      queue->stop(std::max(left, std::chrono::milliseconds(0)));
    }
    log::info("agent", "stopped");
  }

  std::string address() const { return server_->address(); }

 private:
  // All or nothing: new queues are opened before any old one is touched.
  Result<> apply_destinations(const std::vector<agent::Destination>& destinations) {
    std::map<std::string, std::shared_ptr<agent::ShipQueue>> opened;
    for (const auto& destination : destinations) {
      if (queues_.contains(destination.name)) continue;
      agent::ShipQueueOptions options;
      options.dir = data_dir_ + "/queues/" + agent::directory_name(destination);
      options.user_agent = "Tocayo/" + version_text();
      options.host = arguments_.instance.empty() ? host_name() : arguments_.instance;
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
    for (const std::string& path : arguments_.configs) {
      struct stat info{};
      if (::stat(path.c_str(), &info) != 0) info = {};
      files_.push_back(
          fmt::format("{}:{}:{}.{}", info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec));
    }
  }

  void set_yaml(std::string yaml) {
    std::lock_guard lock(yaml_mutex_);
    yaml_ = std::move(yaml);
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
    page("/metrics", [this](http::Request&) {
      std::string text =
          host_ ? agent::host_metrics_text(host_->collectors(), host_->collectors().enabled()) : std::string();
      return http::Response::text(200, text + Registry::global().to_text(), agent::kTextContentType);
    });
    page("/targets", [this](http::Request&) { return http::Response::json(200, targets_json(*scraper_)); });
    page("/queues", [this](http::Request&) { return http::Response::json(200, queues_json(fan_out_)); });
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
  std::vector<std::string> files_;

  // In order of construction; destroyed in reverse.
  Pool compute_;
  std::unique_ptr<http::Client> client_;
  agent::FanOut fan_out_;
  std::map<std::string, std::shared_ptr<agent::ShipQueue>> queues_;
  std::unique_ptr<agent::Scraper> scraper_;
  std::unique_ptr<agent::HostAgent> host_;
  OpenDoor door_;
  http::Router router_;
  std::unique_ptr<http::Server> server_;
};

int fail_with(const Error& error) {
  std::fprintf(stderr, "tocayo agent: %s\n", error.message.c_str());
  return 1;
}

}  // namespace

int run_agent(const AgentArguments& arguments) {
  auto level = log::parse_level(arguments.log_level);
  if (!level) return fail_with(level.error());
  auto config = read_config(arguments);
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
