// SPDX-License-Identifier: Apache-2.0
// Signing in and finding out whom a credential belongs to.
#include <algorithm>

#include "core/labels.h"
#include "core/log.h"
#include "core/text.h"
#include "tenancy/credentials.h"
#include "tenancy/detail/crypto.h"
#include "tenancy/detail/service_impl.h"
#include "tenancy/store.h"
#include "tenancy/tenant_id.h"

namespace tocayo::tenancy {

namespace {

constexpr std::chrono::seconds kCacheFor{10};
constexpr std::chrono::seconds kPasswordCacheFor{60};  // Basic authentication would otherwise hash at every request
constexpr std::size_t kMaxWaitingHashes = 64;

std::unexpected<Error> bad_credentials() { return fail(ErrorKind::unauthorized, "the login or the password is wrong"); }

std::unexpected<Error> too_fast(std::chrono::milliseconds wait) {
  return fail(ErrorKind::limit, "too many failed attempts to sign in: try again in " +
                                    std::to_string((wait.count() + 999) / 1000) + " s");
}

// What the audit log shows of a login that somebody typed (it may be a password typed into the wrong field: only known
// ones).
std::string shown(const std::string& login, bool known) { return known ? login : "(unknown)"; }

struct Verified {
  std::int64_t user_id = 0;
  std::string hash;  // as verified: the write that follows must find the same
};

// The whole of "is this the password", in the same steps for every reason to refuse.
Task<Result<Verified>> verify(db::Database& database, Pool& pool, const std::string& dummy_hash, std::string login,
                              std::string password) {
  if (pool.queued() > kMaxWaitingHashes)
    co_return fail(ErrorKind::unavailable, "too many sign-ins at the same moment: try again");
  bool plausible = check_login_name(login).has_value() && password.size() <= kMaxPasswordBytes;
  CO_TRY(auto stored,
         co_await database.read([&](db::Session& s) { return store::password_of_login(s, plausible ? login : ""); }));
  co_await pool.schedule();
  bool right = verify_password(plausible ? password : "-", stored ? stored->hash : dummy_hash);
  if (!stored || !right || stored->disabled) co_return Verified{};
  co_return Verified{stored->user_id, std::move(stored->hash)};
}

}  // namespace

Task<Result<LoggedIn>> Service::login(LoginAttempt attempt) {
  Impl& impl = *impl_;
  std::string login = to_lower(trim(attempt.login));
  auto wait = impl.throttle.attempt(login.substr(0, 64), attempt.address);
  if (wait.count() > 0) {
    impl.throttled.add();
    co_return too_fast(wait);
  }
  CO_TRY(auto verified, co_await verify(impl.database, impl.passwords, impl.dummy_hash, login, attempt.password));
  Actor actor{"", 0, "", false, attempt.address};
  std::optional<LoggedIn> done;
  CO_TRY_VOID(co_await impl.database.write([&](db::Transaction& tx) -> Result<> {
    done.reset();
    auto stored = verified.user_id ? TRY(store::password_of_user(tx, verified.user_id)) : std::nullopt;
    if (!stored || stored->disabled || stored->hash != verified.hash) {
      bool known = check_login_name(login).has_value() && TRY(store::password_of_login(tx, login)).has_value();
      actor.login = shown(login, known);
      return impl.record(tx, actor, "login.failed", actor.login, "", "");
    }
    auto user = TRY(store::user(tx, verified.user_id));
    if (!user) return {};
    actor.login = user->login;
    TRY(store::note_login(tx, user->id, impl.now()));
    user->last_login_ms = impl.now();
    std::string session = TRY(impl.open_session(tx, user->id, attempt.address, attempt.user_agent));
    TRY(impl.record(tx, actor, "login", user->login, "", ""));
    done = LoggedIn{std::move(*user), std::move(session), impl.options.session_lifetime};
    return {};
  }));
  if (!done) {
    impl.refused.add();
    co_return bad_credentials();
  }
  impl.throttle.success(login, attempt.address);
  impl.logins.add();
  co_return std::move(*done);
}

Task<Result<>> Service::logout(std::string session, Actor actor) {
  co_return co_await impl_->database.write([&](db::Transaction& tx) -> Result<> {
    if (TRY(store::remove_session(tx, digest_of(session))))
      TRY(impl_->record(tx, actor, "logout", actor.login, "", ""));
    impl_->forget_principals(tx);
    return {};
  });
}

Task<Result<LoggedIn>> Service::setup(std::string token, NewUser wanted, std::string address, std::string user_agent) {
  Impl& impl = *impl_;
  auto wait = impl.throttle.attempt("(setup)", address);
  if (wait.count() > 0) co_return too_fast(wait);
  wanted.login = to_lower(trim(wanted.login));
  if (auto ok = check_login_name(wanted.login); !ok) co_return std::unexpected(std::move(ok.error()));
  if (auto ok = check_display("the name", wanted.name, 200); !ok) co_return std::unexpected(std::move(ok.error()));
  if (auto ok = check_password_rules(wanted.login, wanted.password); !ok)
    co_return std::unexpected(std::move(ok.error()));
  co_await impl.passwords.schedule();
  std::string hash = hash_password(wanted.password, impl.options.password_cost);
  CO_TRY(auto done, co_await impl.database.write([&](db::Transaction& tx) -> Result<LoggedIn> {
    bool valid = TRY(store::take_setup_link(tx, digest_of(token), impl.now()));
    if (!valid || TRY(store::count_users(tx)) > 0) {
      return fail(ErrorKind::forbidden, "this set-up link is not valid (any more): restart the server for a new one");
    }
    User user{0,          wanted.login, wanted.name, false, true, {{std::string(kDefaultTenant), Role::admin}},
              impl.now(), impl.now()};
    user.id = TRY(store::add_user(tx, user, hash));
    TRY(store::note_login(tx, user.id, impl.now()));
    Actor actor{user.login, user.id, "", true, address};
    TRY(impl.record(tx, actor, "setup", user.login, "first admin", ""));
    impl.forget_principals(tx);
    std::string session = TRY(impl.open_session(tx, user.id, address, user_agent));
    return LoggedIn{std::move(user), std::move(session), impl.options.session_lifetime};
  }));
  impl.throttle.success("(setup)", address);
  co_return std::move(done);
}

Task<Result<>> Service::change_password(Actor actor, std::string current, std::string next, std::string session) {
  Impl& impl = *impl_;
  if (actor.user_id == 0) co_return fail(ErrorKind::forbidden, "only a signed-in user has a password");
  auto wait = impl.throttle.attempt(actor.login, actor.address);
  if (wait.count() > 0) co_return too_fast(wait);
  CO_TRY(auto verified, co_await verify(impl.database, impl.passwords, impl.dummy_hash, actor.login, current));
  if (verified.user_id != actor.user_id) co_return fail(ErrorKind::forbidden, "the current password is wrong");
  impl.throttle.success(actor.login, actor.address);
  if (auto ok = check_password_rules(actor.login, next); !ok) co_return ok;
  co_await impl.passwords.schedule();
  std::string hash = hash_password(next, impl.options.password_cost);
  co_return co_await impl.database.write([&](db::Transaction& tx) -> Result<> {
    auto stored = TRY(store::password_of_user(tx, actor.user_id));
    if (!stored || stored->disabled || stored->hash != verified.hash) {
      return fail(ErrorKind::conflict, "the password was changed meanwhile");
    }
    TRY(store::set_password(tx, actor.user_id, hash));
    TRY(store::remove_sessions_of(tx, actor.user_id, digest_of(session)));
    impl.forget_principals(tx);
    return impl.record(tx, actor, "password.change", actor.login, "", "");
  });
}

PrincipalRef Service::cached(std::string_view secret) const {
  return impl_->cache->find(impl_->cache_key(secret.starts_with(kTokenPrefix) ? "token" : "session", secret));
}

Task<Result<PrincipalRef>> Service::by_session(std::string session) {
  Impl& impl = *impl_;
  std::string key = impl.cache_key("session", session);
  if (auto known = impl.cache->find(key)) co_return known;
  auto unknown = [] { return fail(ErrorKind::unauthorized, "the session has ended: sign in again"); };
  if (session.size() < 40 || session.size() > 64) co_return unknown();
  auto generation = impl.cache->generation();
  std::string digest = digest_of(session);
  std::optional<Session> found;
  std::optional<User> user;
  CO_TRY_VOID(co_await impl.database.read([&](db::Session& s) -> Result<> {
    found = TRY(store::session(s, digest));
    if (found) user = TRY(store::user(s, found->user_id));
    return {};
  }));
  TimestampMs now = impl.now();
  if (!found || !user || user->disabled || found->expires_ms <= now ||
      found->seen_ms + impl.options.session_idle.count() <= now) {
    co_return unknown();
  }
  auto principal = std::make_shared<const Principal>(Principal{std::move(user), std::nullopt});
  impl.cache->put(
      key, principal, generation,
      std::chrono::steady_clock::now() +
          std::min<std::chrono::milliseconds>(kCacheFor, std::chrono::milliseconds(found->expires_ms - now)));
  if (impl.should_note_use(key)) {
    spawn<Result<>>(
        impl.database.write([digest, now](db::Transaction& tx) { return store::touch_session(tx, digest, now); }),
        [](Result<>) {});
  }
  co_return principal;
}

Task<Result<PrincipalRef>> Service::by_token(std::string token) {
  Impl& impl = *impl_;
  std::string key = impl.cache_key("token", token);
  if (auto known = impl.cache->find(key)) co_return known;
  auto generation = impl.cache->generation();
  CO_TRY(auto found,
         co_await impl.database.read([&](db::Session& s) { return store::token_by_digest(s, digest_of(token)); }));
  TimestampMs now = impl.now();
  if (!found || (found->expires_ms && *found->expires_ms <= now)) {
    co_return fail(ErrorKind::unauthorized, found ? "the API token has expired" : "the API token is not valid");
  }
  auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(kCacheFor);
  if (found->expires_ms)
    until = std::min(until, std::chrono::steady_clock::now() + std::chrono::milliseconds(*found->expires_ms - now));
  if (impl.should_note_use(key)) {
    spawn<Result<>>(
        impl.database.write([id = found->id, now](db::Transaction& tx) { return store::touch_token(tx, id, now); }),
        [](Result<>) {});
  }
  auto principal = std::make_shared<const Principal>(Principal{std::nullopt, std::move(found)});
  impl.cache->put(key, principal, generation, until);
  co_return principal;
}

Task<Result<PrincipalRef>> Service::Impl::verify_basic(std::string key, std::string login, std::string password,
                                                       std::string address) {
  auto generation = cache->generation();
  auto wait = throttle.attempt(login.substr(0, 64), address);
  if (wait.count() > 0) {
    throttled.add();
    co_return too_fast(wait);
  }
  CO_TRY(auto verified, co_await verify(database, passwords, dummy_hash, login, password));
  std::optional<User> user;
  if (verified.user_id) {
    CO_TRY(user, co_await database.read([&](db::Session& s) { return store::user(s, verified.user_id); }));
  }
  if (!user || user->disabled) {
    refused.add();
    co_return bad_credentials();
  }
  throttle.success(login, address);
  auto principal = std::make_shared<const Principal>(Principal{std::move(user), std::nullopt});
  cache->put(key, principal, generation, std::chrono::steady_clock::now() + kPasswordCacheFor);
  co_return principal;
}

Task<Result<PrincipalRef>> Service::by_password(std::string login, std::string password, std::string address) {
  Impl& impl = *impl_;
  login = to_lower(login);
  std::string key = impl.cache_key("password", login + '\0' + password);
  if (auto known = impl.cache->find(key)) co_return known;
  // From one address only: what another address learns must not depend on this one's waits.
  std::string flight = key + LoginThrottle::address_key(address);
  auto shared = co_await completion<std::optional<Result<PrincipalRef>>>([&](auto complete) {
    std::unique_lock lock(impl.flights_mutex);
    auto [entry, first] = impl.flights.try_emplace(flight);
    if (!first) {
      entry->second.push_back(std::move(complete));
      return;
    }
    lock.unlock();
    complete(std::nullopt);
  });
  if (shared) co_return std::move(*shared);
  auto result = co_await impl.verify_basic(key, std::move(login), std::move(password), std::move(address));
  std::vector<Impl::PrincipalWaiter> waiters;
  {
    std::lock_guard lock(impl.flights_mutex);
    waiters = std::move(impl.flights[flight]);
    impl.flights.erase(flight);
  }
  for (auto& waiter : waiters) waiter(result);
  co_return result;
}

Task<Result<bool>> Service::tenant_exists(std::string name) {
  Impl& impl = *impl_;
  std::string key = impl.cache_key("tenant", name);
  if (impl.cache->find(key)) co_return true;
  auto generation = impl.cache->generation();
  CO_TRY(bool exists, co_await impl.database.read([&](db::Session& s) { return store::tenant_exists(s, name); }));
  if (exists)
    impl.cache->put(key, std::make_shared<const Principal>(), generation, std::chrono::steady_clock::now() + kCacheFor);
  co_return exists;
}

}  // namespace tocayo::tenancy
