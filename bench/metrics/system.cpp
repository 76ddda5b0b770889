// SPDX-License-Identifier: Apache-2.0
#include "bench/metrics/system.h"

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace tocayo::bench {

std::unique_ptr<System> System::find(const std::string& name) {
  auto system = std::make_unique<System>();
  system->name_ = name;
  if (name == "tocayo") {
    const char* binary = std::getenv("TOCAYO_BINARY");
    if (binary == nullptr) return nullptr;
    system->program_ = binary;
  } else {
    auto found = testing::find_program(name);
    if (!found) return nullptr;
    system->program_ = *found;
  }
  return system;
}

bool System::start() {
  if (address_.empty()) address_ = "127.0.0.1:" + std::to_string(testing::free_port());
  std::string data = (work_.path() / "data").string();
  std::vector<std::string> argv;
  std::string ready;
  if (name_ == "tocayo") {
    argv = {program_, "serve",
            "--set",  "server.listen=" + address_,
            "--set",  "storage.data_dir=" + data,
            "--set",  "agent.enabled=false",
            "--set",  "metrics.wal.mode=interval"};
    for (const std::string& option : options_) argv.insert(argv.end(), {"--set", option});
    ready = "/-/ready";
  } else if (name_ == "prometheus") {
    std::ofstream(work_.path() / "prometheus.yml") << "global: {}\n";
    argv = {program_,
            "--config.file=" + (work_.path() / "prometheus.yml").string(),
            "--storage.tsdb.path=" + data,
            "--web.listen-address=" + address_,
            "--web.enable-remote-write-receiver",
            "--web.enable-admin-api",
            "--log.level=error"};
    ready = "/-/ready";
  } else {
    argv = {program_,
            "-storageDataPath=" + data,
            "-httpListenAddr=" + address_,
            "-retentionPeriod=1",
            "-loggerLevel=ERROR",
            "-search.latencyOffset=0s",
            "-search.maxSeries=2000000"};
    ready = "/health";
  }
  process_ = std::make_unique<testing::Process>(argv, work_.path() / "log");
  return testing::eventually([&] { return testing::http_get("http://" + address_ + ready).status == 200; },
                             std::chrono::seconds(120));
}

void System::kill9() {
  process_->signal(SIGKILL);
  process_->wait();
}

void System::stop() {
  process_->signal(SIGTERM);
  process_->wait();
}

Cost System::cost() const {
  Cost cost;
  std::ifstream stat("/proc/" + std::to_string(process_->pid()) + "/stat");
  std::string line;
  std::getline(stat, line);
  std::stringstream rest(line.substr(line.rfind(')') + 2));
  std::string field;
  for (int i = 3; rest >> field; ++i) {
    if (i == 14 || i == 15) cost.cpu_seconds += std::stod(field) / static_cast<double>(::sysconf(_SC_CLK_TCK));
    if (i == 24) cost.rss_bytes = std::stod(field) * static_cast<double>(::sysconf(_SC_PAGESIZE));
  }
  return cost;
}

namespace {
double bytes_under(const std::filesystem::path& directory) {
  double total = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory, ignored)) {
    if (entry.is_regular_file(ignored)) total += static_cast<double>(entry.file_size(ignored));
  }
  return total;
}
}  // namespace

double System::disk_bytes() const { return bytes_under(work_.path() / "data"); }

std::optional<double> System::settled_bytes() {
  const std::filesystem::path data = work_.path() / "data";
  const std::string base = "http://" + address_;
  if (name_ == "prometheus") {
    if (testing::http_request("POST", base + "/api/v1/admin/tsdb/snapshot").status != 200) return {};
    stop();
    return bytes_under(data / "snapshots");
  }
  if (name_ == "victoria-metrics") {
    if (testing::http_get(base + "/internal/force_flush").status != 200) return {};
    if (testing::http_get(base + "/internal/force_merge").status != 200) return {};
    // The merge goes on behind the answer.
    double before = -1;
    int calm = 0;
    testing::eventually(
        [&] {
          const double now = bytes_under(data);
          calm = now == before ? calm + 1 : 0;
          before = now;
          return calm > 40;
        },
        std::chrono::seconds(120));
    stop();
    return bytes_under(data / "data") + bytes_under(data / "indexdb");
  }
  // Series that are idle (the caller made that short) are sealed and leave memory.
  const bool sealed = testing::eventually(
      [&] {
        return testing::http_get(base + "/metrics").body.find("\ncortex_ingester_memory_series 0\n") !=
               std::string::npos;
      },
      std::chrono::seconds(180));
  if (!sealed) return {};
  stop();
  return bytes_under(data / "metrics" / "segments");
}

std::string System::push_url() const {
  return "http://" + address_ + (name_ == "tocayo" ? "/api/v1/push" : "/api/v1/write");
}
std::string System::query_url(const std::string& endpoint) const {
  return "http://" + address_ + "/api/v1/" + endpoint;
}

}  // namespace tocayo::bench
