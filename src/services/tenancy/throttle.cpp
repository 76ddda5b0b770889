// SPDX-License-Identifier: Apache-2.0
#include "tenancy/throttle.h"

#include <arpa/inet.h>

#include <algorithm>

#include "core/text.h"

namespace tocayo::tenancy {

using std::chrono::milliseconds;

std::string LoginThrottle::address_key(std::string_view remote) {
  std::string host(remote);
  if (host.starts_with('[')) {
    host = host.substr(1, host.find(']') - 1);
  } else if (std::count(host.begin(), host.end(), ':') == 1) {
    host.resize(host.find(':'));
  }
  in6_addr address;
  if (::inet_pton(AF_INET6, host.c_str(), &address) != 1) return host;
  return to_hex(std::string_view(reinterpret_cast<const char*>(&address), 8)) + "/64";
}

milliseconds LoginThrottle::wait_of(const std::string& key, TimestampMs now) {
  auto found = entries_.find(key);
  if (found == entries_.end()) return milliseconds(0);
  if (now < found->second.last_ms - 60'000)
    return milliseconds(0);  // the clock stepped back: what was noted means nothing
  return milliseconds(std::max<std::int64_t>(found->second.not_before_ms - now, 0));
}

void LoginThrottle::fail(const std::string& key, int free, TimestampMs now) {
  Entry& entry = entries_[key];
  if (now - entry.last_ms > options_.forget_after.count()) entry.failures = 0;
  entry.last_ms = now;
  ++entry.failures;
  int over = entry.failures - free;
  if (over < 0) return;
  auto wait = options_.first_wait * (std::int64_t{1} << std::min(over, 20));
  entry.not_before_ms = now + std::min(milliseconds(wait), options_.longest_wait).count();
}

void LoginThrottle::make_room(TimestampMs now) {
  if (entries_.size() < options_.max_entries) return;
  std::erase_if(entries_, [&](auto& entry) { return now - entry.second.last_ms > options_.forget_after.count(); });
  if (entries_.size() < options_.max_entries) return;
  // Under a flood of addresses the ones that are not waiting are forgotten first.
  std::erase_if(entries_, [&](auto& entry) { return entry.second.not_before_ms <= now; });
  if (entries_.size() >= options_.max_entries) entries_.clear();
}

milliseconds LoginThrottle::attempt(std::string_view account, std::string_view remote) {
  std::string address = address_key(remote);
  std::string both = to_lower(account) + "\n" + address;
  std::lock_guard lock(mutex_);
  TimestampMs now = clock_.now_ms();
  make_room(now);
  auto wait = std::max(wait_of(both, now), wait_of("\n" + address, now));
  if (wait.count() > 0) return wait;
  fail(both, options_.free_failures, now);
  fail("\n" + address, options_.free_failures_per_address, now);
  return milliseconds(0);
}

void LoginThrottle::success(std::string_view account, std::string_view remote) {
  std::string address = address_key(remote);
  std::lock_guard lock(mutex_);
  entries_.erase(to_lower(account) + "\n" + address);
  // Takes back this attempt only: a guesser with one account of his own must not reset the address.
  if (auto found = entries_.find("\n" + address); found != entries_.end()) {
    Entry& entry = found->second;
    if (entry.failures > 0) --entry.failures;
    if (entry.failures < options_.free_failures_per_address) entry.not_before_ms = 0;
  }
}

}  // namespace tocayo::tenancy
