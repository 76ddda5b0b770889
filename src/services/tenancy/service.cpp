// SPDX-License-Identifier: Apache-2.0
#include "tenancy/service.h"

#include <algorithm>

#include "core/labels.h"
#include "core/log.h"
#include "core/text.h"
#include "db/migrations.h"
#include "tenancy/detail/crypto.h"
#include "tenancy/detail/service_impl.h"
#include "tenancy/store.h"
#include "tenancy/tenant_id.h"

namespace tocayo::tenancy {

std::span<const db::Migration> migrations();

namespace {
constexpr std::size_t kMaxCached = 20'000;
constexpr std::int64_t kNoteUseEveryMs = 60'000;
}  // namespace

PrincipalRef PrincipalCache::find(const std::string& key) const {
  std::lock_guard lock(mutex_);
  auto found = entries_.find(key);
  if (found == entries_.end() || found->second.until <= std::chrono::steady_clock::now()) return nullptr;
  return found->second.principal;
}

void PrincipalCache::put(const std::string& key, PrincipalRef principal, std::uint64_t generation,
                         std::chrono::steady_clock::time_point until) {
  std::lock_guard lock(mutex_);
  if (generation != generation_.load()) return;  // something changed while it was being loaded
  if (entries_.size() >= kMaxCached) entries_.clear();
  entries_.insert_or_assign(key, Entry{std::move(principal), until});
}

void PrincipalCache::clear() {
  std::lock_guard lock(mutex_);
  ++generation_;
  entries_.clear();
}

std::string digest_of(std::string_view secret) { return to_hex(sha256(secret)); }
std::string new_secret() { return base64url(random_bytes(32)); }

Result<> check_login_name(std::string_view login) {
  if (login.empty() || login.size() > 64) return fail(ErrorKind::bad_input, "a login has 1 to 64 characters");
  for (char c : login) {
    bool ok =
        (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || std::string_view("._@+-").find(c) != std::string_view::npos;
    if (!ok) return fail(ErrorKind::bad_input, "a login has letters, digits and . _ @ + - only");
  }
  if (login == "anonymous" || login == "system") return fail(ErrorKind::bad_input, "this login is reserved");
  return {};
}

Result<> check_display(std::string_view what, std::string_view text, std::size_t max_bytes) {
  if (text.size() > max_bytes) {
    return fail(ErrorKind::bad_input, std::string(what) + " is longer than " + std::to_string(max_bytes) + " bytes");
  }
  if (!is_valid_utf8(text)) return fail(ErrorKind::bad_input, std::string(what) + " is not UTF-8");
  for (char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      return fail(ErrorKind::bad_input, std::string(what) + " has a control character");
  }
  return {};
}

Service::Impl::Impl(db::Database& database_, ServiceOptions options_)
    : database(database_),
      options(std::move(options_)),
      passwords("passwords", options.password_threads),
      dummy_hash(hash_password("no user has this password", options.password_cost)),
      cache_secret(random_bytes(32)),
      throttle(*options.clock) {}

std::string Service::Impl::cache_key(std::string_view kind, std::string_view secret) const {
  return hmac_sha256(cache_secret, std::string(kind) + '\0' + std::string(secret));
}

void Service::Impl::forget_principals(db::Transaction& transaction) {
  transaction.on_commit([cache = cache] { cache->clear(); });
}

Result<> Service::Impl::record(db::Transaction& transaction, const Actor& actor, std::string_view action,
                               std::string_view target, std::string_view detail, std::string_view tenant) {
  AuditEntry entry{0,
                   now(),
                   actor.login,
                   std::string(tenant),
                   std::string(action),
                   std::string(target),
                   std::string(detail),
                   LoginThrottle::address_key(actor.address)};
  return store::add_audit(transaction, entry, options.audit_rows);
}

Result<std::string> Service::Impl::open_session(db::Transaction& transaction, std::int64_t user_id,
                                                const std::string& address, const std::string& user_agent) {
  TimestampMs time = now();
  std::string secret = new_secret();
  TRY(store::remove_expired_sessions(transaction, time, time - options.session_idle.count()));
  std::string agent =
      is_valid_utf8(user_agent) && user_agent.find('\0') == std::string::npos ? user_agent.substr(0, 200) : "";
  if (!is_valid_utf8(agent)) agent.clear();  // cut within a character
  TRY(store::add_session(transaction, digest_of(secret),
                         Session{user_id, time, time, time + options.session_lifetime.count()}, address, agent));
  return secret;
}

bool Service::Impl::should_note_use(const std::string& key) {
  TimestampMs time = now();
  std::lock_guard lock(used_mutex);
  if (used.size() >= kMaxCached) used.clear();
  auto [entry, added] = used.try_emplace(key, time);
  if (!added && std::abs(time - entry->second) < kNoteUseEveryMs) return false;
  entry->second = time;
  return true;
}

Service::Service(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Service::~Service() = default;

Result<std::unique_ptr<Service>> Service::open(db::Database& database, ServiceOptions options) {
  TRY(db::migrate(database, "tenancy", migrations()));
  auto impl = std::make_unique<Impl>(database, std::move(options));
  if (!impl->options.key_file.empty()) impl->instance_key = TRY(load_instance_key(impl->options.key_file));
  std::string token = new_secret();
  bool fresh = TRY(database.write_sync([&](db::Transaction& tx) -> Result<bool> {
    TRY(store::ensure_tenant(tx, {std::string(kDefaultTenant), "Default", impl->now()}));
    if (!impl->options.login_required || TRY(store::count_users(tx)) > 0) return false;
    TRY(store::set_setup_link(tx, digest_of(token), impl->now(),
                              impl->now() + impl->options.setup_link_lifetime.count()));
    return true;
  }));
  if (fresh) impl->setup_token = token;
  return std::unique_ptr<Service>(new Service(std::move(impl)));
}

bool Service::login_required() const { return impl_->options.login_required; }

std::optional<std::string> Service::take_setup_token() {
  std::lock_guard lock(impl_->setup_mutex);
  return std::exchange(impl_->setup_token, std::nullopt);
}

Result<> Service::record(db::Transaction& transaction, const Actor& actor, std::string_view action,
                         std::string_view target, std::string_view detail) {
  return impl_->record(transaction, actor, action, target, detail, actor.tenant);
}

Task<Result<std::vector<AuditEntry>>> Service::audit(std::optional<std::string> tenant, std::int64_t before,
                                                     std::int64_t limit) {
  if (limit < 1 || limit > 1'000) co_return fail(ErrorKind::bad_input, "limit is 1 to 1000");
  if (before <= 0) before = INT64_MAX;
  co_return co_await impl_->database.read([&](db::Session& s) {
    return store::audit(s, tenant ? std::optional<std::string_view>(*tenant) : std::nullopt, before, limit);
  });
}

// ---- secrets ----

namespace {

Result<> check_secret(std::string_view tenant, std::string_view name, std::string_view key) {
  TRY(check_tenant_id(tenant));
  if (key.empty()) return fail(ErrorKind::unavailable, "this instance has no key file, so it cannot keep secrets");
  if (name.empty() || name.size() > 200) return fail(ErrorKind::bad_input, "a secret's name has 1 to 200 bytes");
  return check_display("the secret's name", name, 200);
}

std::string secret_context(std::string_view tenant, std::string_view name) {
  return "secret\n" + std::string(tenant) + "\n" + std::string(name);
}

}  // namespace

Task<Result<>> Service::put_secret(Actor actor, std::string tenant, std::string name, std::string value) {
  if (auto ok = check_secret(tenant, name, impl_->instance_key); !ok) co_return ok;
  if (value.size() > 64 << 10) co_return fail(ErrorKind::too_large, "a secret has at most 64 KiB");
  std::string box = seal(impl_->instance_key, value, secret_context(tenant, name));
  co_return co_await impl_->database.write([&](db::Transaction& tx) -> Result<> {
    TRY(store::put_secret(tx, tenant, name, box, impl_->now()));
    return impl_->record(tx, actor, "secret.put", name, "", tenant);
  });
}

Task<Result<std::string>> Service::secret(std::string tenant, std::string name) {
  if (auto ok = check_secret(tenant, name, impl_->instance_key); !ok) co_return std::unexpected(std::move(ok.error()));
  CO_TRY(auto box, co_await impl_->database.read([&](db::Session& s) { return store::secret(s, tenant, name); }));
  if (!box) co_return fail(ErrorKind::not_found, "no secret '" + name + "'");
  co_return unseal(impl_->instance_key, *box, secret_context(tenant, name));
}

Task<Result<std::vector<std::string>>> Service::secret_names(std::string tenant) {
  co_return co_await impl_->database.read([&](db::Session& s) { return store::secret_names(s, tenant); });
}

Task<Result<>> Service::remove_secret(Actor actor, std::string tenant, std::string name) {
  co_return co_await impl_->database.write([&](db::Transaction& tx) -> Result<> {
    if (!TRY(store::remove_secret(tx, tenant, name))) return fail(ErrorKind::not_found, "no secret '" + name + "'");
    return impl_->record(tx, actor, "secret.delete", name, "", tenant);
  });
}

}  // namespace tocayo::tenancy
