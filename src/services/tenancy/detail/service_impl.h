// SPDX-License-Identifier: Apache-2.0
// State of the service, shared by service*.cpp. Private to tenancy.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/pool.h"
#include "core/registry.h"
#include "tenancy/service.h"

namespace tocayo::tenancy {

// Credentials seen lately, by the digest of their secret under a key of this process (a memory dump shows no usable
// digest). Thread-safe. clear() voids also what is being loaded at that moment.
class PrincipalCache {
 public:
  PrincipalRef find(const std::string& key) const;
  std::uint64_t generation() const { return generation_.load(); }
  void put(const std::string& key, PrincipalRef principal, std::uint64_t generation,
           std::chrono::steady_clock::time_point until);
  void clear();

 private:
  struct Entry {
    PrincipalRef principal;
    std::chrono::steady_clock::time_point until;
  };
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;
  std::atomic<std::uint64_t> generation_{0};
};

struct Service::Impl {
  Impl(db::Database& database, ServiceOptions options);

  TimestampMs now() const { return options.clock->now_ms(); }
  std::string cache_key(std::string_view kind, std::string_view secret) const;
  // After this transaction has committed, cached principals are looked up anew.
  void forget_principals(db::Transaction& transaction);
  Result<> record(db::Transaction& transaction, const Actor& actor, std::string_view action, std::string_view target,
                  std::string_view detail, std::string_view tenant);
  // A new session of the user; returns its secret.
  Result<std::string> open_session(db::Transaction& transaction, std::int64_t user_id, const std::string& address,
                                   const std::string& user_agent);
  // Writes at most once a minute per key that it was used.
  bool should_note_use(const std::string& key);

  db::Database& database;
  ServiceOptions options;
  Pool passwords;
  std::string dummy_hash;    // verified for unknown logins, so that they take as long
  std::string cache_secret;  // key of cache_key
  std::string instance_key;  // 32 bytes
  LoginThrottle throttle;
  std::shared_ptr<PrincipalCache> cache = std::make_shared<PrincipalCache>();  // shared with commit hooks
  // Basic authentication sends the same password with every request: requests side by side share one verification.
  using PrincipalWaiter = std::move_only_function<void(std::optional<Result<PrincipalRef>>)>;
  std::mutex flights_mutex;
  std::unordered_map<std::string, std::vector<PrincipalWaiter>> flights;
  Task<Result<PrincipalRef>> verify_basic(std::string key, std::string login, std::string password,
                                          std::string address);
  std::mutex used_mutex;
  std::unordered_map<std::string, TimestampMs> used;
  std::mutex setup_mutex;
  std::optional<std::string> setup_token;
  Counter& logins =
      Registry::global().counter("tocayo_tenancy_logins_total", "Attempts to sign in.", {{"result", "success"}});
  Counter& refused =
      Registry::global().counter("tocayo_tenancy_logins_total", "Attempts to sign in.", {{"result", "refused"}});
  Counter& throttled =
      Registry::global().counter("tocayo_tenancy_logins_total", "Attempts to sign in.", {{"result", "throttled"}});
};

std::string digest_of(std::string_view secret);  // hex SHA-256: what the database keeps of a secret
std::string new_secret();                        // 256 random bits, base64url

// Loads the key, or makes it (0600, fsynced). forbidden when others may read the file; internal when it is not a key.
Result<std::string> load_instance_key(const std::filesystem::path& file);

Result<> check_login_name(std::string_view login);  // as stored: lower case
Result<> check_display(std::string_view what, std::string_view text, std::size_t max_bytes);

}  // namespace tocayo::tenancy
