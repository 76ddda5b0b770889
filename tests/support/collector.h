// SPDX-License-Identifier: Apache-2.0
// For tests of `tocayo agent` as a collector of logs: the process, what LogQL finds of its lines, and log files.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/server_process.h"

namespace tocayo::testing {

namespace json = boost::json;

class LogCollector {
 public:
  explicit LogCollector(std::vector<std::string> arguments) : arguments_(std::move(arguments)) {}
  bool start() {
    const auto port_file = work_.path() / "port";
    std::filesystem::remove(port_file);
    std::vector<std::string> argv{std::getenv("TOCAYO_BINARY"),
                                  "agent",
                                  "--listen",
                                  "127.0.0.1:0",
                                  "--port-file",
                                  port_file.string(),
                                  "--data-dir",
                                  (work_.path() / "data").string()};
    argv.insert(argv.end(), arguments_.begin(), arguments_.end());
    process_ = std::make_unique<Process>(argv, work_.path() / "agent.log");
    const bool up = eventually(
        [&] {
          std::ifstream in(port_file);
          if (!std::getline(in, address_) || address_.empty()) return !process_->running();
          return http_get(url("/-/ready")).status == 200 || !process_->running();
        },
        std::chrono::seconds(60));
    if (!up || !process_->running()) ADD_FAILURE() << "the agent did not become ready:\n" << process_->log();
    return up && process_->running();
  }
  void kill9() {
    process_->signal(SIGKILL);
    process_->wait();
  }
  int stop() {
    process_->signal(SIGTERM);
    return process_->wait();
  }
  std::string url(const std::string& path) const { return "http://" + address_ + path; }
  std::string log() const { return process_->log(); }
  // A number of the queue of logs; -1 when there is none.
  std::int64_t queue(const char* key) const {
    boost::system::error_code code;
    const auto value = json::parse(http_get(url("/queues")).body, code);
    if (code || !value.is_object()) return -1;
    for (const auto& queue : value.at("data").at("queues").as_array()) {
      if (queue.at("signal").as_string() == "logs") return queue.at(key).to_number<std::int64_t>();
    }
    return -1;
  }

 private:
  std::vector<std::string> arguments_;
  TempDir work_;
  std::string address_;
  std::unique_ptr<Process> process_;
};

inline std::int64_t seconds_now() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// Lines of a query over the last hours, with how often each is stored; and the last line's stream.
inline std::map<std::string, int> query(Server& server, const std::string& logql, json::object* stream = nullptr,
                                        const std::string& tenant = "") {
  HttpHeaders headers;
  if (!tenant.empty()) headers.emplace_back("X-Scope-OrgID", tenant);
  const auto reply = http_get(
      server.url("/loki/api/v1/query_range?limit=100000&query=" + url_encode(logql) +
                 "&start=" + std::to_string(seconds_now() - 90000) + "&end=" + std::to_string(seconds_now() + 60)),
      headers);
  std::map<std::string, int> lines;
  boost::system::error_code code;
  const auto answer = json::parse(reply.body, code);
  if (reply.status != 200 || code) {
    ADD_FAILURE() << reply.status << " " << reply.body;
    return lines;
  }
  for (const auto& one : answer.at("data").at("result").as_array()) {
    if (stream != nullptr) *stream = one.at("stream").as_object();
    for (const auto& value : one.at("values").as_array()) ++lines[std::string(value.as_array()[1].as_string())];
  }
  return lines;
}

class Written {
 public:
  explicit Written(std::filesystem::path file) : file_(std::move(file)) {}
  void lines(int count) {
    std::ofstream out(file_, std::ios::app);
    for (int i = 0; i < count; ++i) out << "line " << next_++ << "\n";
  }
  void rotate() const {
    const auto old = file_.string() + ".1";
    std::filesystem::rename(file_, old);
  }
  int count() const { return next_; }

 private:
  std::filesystem::path file_;
  int next_ = 0;
};

inline void expect_each_once(const std::map<std::string, int>& lines, int count) {
  int missing = 0, doubled = 0;
  for (int i = 0; i < count; ++i) {
    const auto found = lines.find("line " + std::to_string(i));
    missing += found == lines.end() ? 1 : 0;
    doubled += found != lines.end() && found->second != 1 ? 1 : 0;
  }
  EXPECT_EQ(missing, 0) << "of " << count;
  EXPECT_EQ(doubled, 0) << "of " << count;
  EXPECT_EQ(lines.size(), static_cast<std::size_t>(count));
}

}  // namespace tocayo::testing
