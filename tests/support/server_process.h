// SPDX-License-Identifier: Apache-2.0
// Starts the real binary (environment TOCAYO_BINARY) on a free port with a data directory of its own.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tocayo::testing {

// A directory that disappears with the object.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Any child process, output to a file. The destructor kills it.
class Process {
 public:
  Process(std::vector<std::string> argv, std::filesystem::path log);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  pid_t pid() const { return pid_; }
  bool running();
  void signal(int number) const;
  int wait();  // exit code, or 128 + signal
  std::string log() const;

 private:
  pid_t pid_ = -1;
  std::optional<int> status_;
  std::filesystem::path log_;
};

struct HttpReply {
  int status = 0;                              // 0: no answer (connection refused, reset)
  std::map<std::string, std::string> headers;  // names lower case
  std::string body;
};
using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

// Plain blocking HTTP for tests (libcurl), one connection per thread.
HttpReply http_request(const std::string& method, const std::string& url, const std::string& body = {},
                       const HttpHeaders& headers = {}, std::chrono::milliseconds timeout = std::chrono::seconds(60));
HttpReply http_get(const std::string& url, const HttpHeaders& headers = {});
std::string url_encode(std::string_view text);

// Polls `condition` until it is true or the deadline passes; returns whether it became true.
bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds deadline = std::chrono::seconds(20));
// A port nobody listens on right now.
int free_port();
// Path of an executable on PATH; nullopt when absent (then a test skips, but fails under CI).
std::optional<std::string> find_program(const std::string& name);
bool in_ci();

class Server {
 public:
  struct Options {
    std::vector<std::string> sets;  // "section.key=value"
    std::vector<std::string> arguments;
    std::filesystem::path data_dir;  // empty: a temporary one
    bool agent = false;
  };
  explicit Server(Options options);
  Server() : Server(Options()) {}
  // Starts (again) on the same data directory and waits until /-/ready answers 200; false with the log on standard
  // error if not.
  bool start(std::chrono::milliseconds deadline = std::chrono::seconds(20));
  void kill9();
  int stop();  // SIGTERM and wait
  std::string url(std::string_view path) const { return "http://" + address_ + std::string(path); }
  const std::string& address() const { return address_; }
  const std::filesystem::path& data_dir() const { return data_dir_; }
  Process& process() { return *process_; }
  std::string log() const { return process_ ? process_->log() : std::string(); }

 private:
  Options options_;
  TempDir work_;
  std::filesystem::path data_dir_;
  std::string address_;
  std::unique_ptr<Process> process_;
};

}  // namespace tocayo::testing
