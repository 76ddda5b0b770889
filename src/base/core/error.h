// SPDX-License-Identifier: Apache-2.0
// Errors as values. Result<T> is what every fallible function returns; exceptions do not cross a room's door.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace tocayo {

// What went wrong, coarse enough that an API can map it to a status in one place.
enum class ErrorKind : unsigned char {
  bad_input,     // the caller sent something wrong; repeating it unchanged is pointless
  not_found,     // the named thing does not exist
  conflict,      // it exists already, or changed under the caller
  unauthorized,  // who are you
  forbidden,     // you may not
  limit,         // a per-tenant or per-query limit; the message names the limit and its key
  too_large,     // the body or the result is over a size limit
  timeout,       // the deadline passed
  canceled,      // the caller went away
  unavailable,   // not now: starting, overloaded, disk full; retry later
  internal,      // our fault
};

// Stable lower-case name, e.g. "bad_input".
std::string_view to_string(ErrorKind kind);

struct Error {
  ErrorKind kind = ErrorKind::internal;
  std::string message;  // a sentence a user can act on; never carries secrets

  // Prefixes the message with what was being done: "open segment 3: no space left on device".
  Error&& with_context(std::string_view doing) &&;
};

template <typename T = void>
using Result = std::expected<T, Error>;

// `return fail(ErrorKind::bad_input, "…")`.
[[nodiscard]] inline std::unexpected<Error> fail(ErrorKind kind, std::string message) {
  return std::unexpected(Error{kind, std::move(message)});
}

// Error from errno, message "<doing>: <strerror>"; ENOSPC, EDQUOT, EMFILE and ENFILE are `unavailable`, ENOENT
// `not_found`.
[[nodiscard]] Error error_from_errno(std::string_view doing, int errno_value);

namespace detail {
template <typename T>
T take_value(std::expected<T, Error>& result) {
  return std::move(*result);
}
inline void take_value(std::expected<void, Error>&) {}
}  // namespace detail

}  // namespace tocayo

// auto x = TRY(f());        propagates the error out of the enclosing function (not for coroutines).
#define TRY(expression)                                                       \
  ({                                                                          \
    auto try_result_ = (expression);                                          \
    if (!try_result_) return std::unexpected(std::move(try_result_.error())); \
    ::tocayo::detail::take_value(try_result_);                                \
  })

// CO_TRY(auto x, co_await f());   the same as a declaration, for coroutines.  CO_TRY_VOID(co_await g());
#define TOCAYO_CONCAT_(a, b) a##b
#define TOCAYO_CONCAT(a, b) TOCAYO_CONCAT_(a, b)
#define TOCAYO_CO_TRY_(temporary, declaration, expression)                 \
  auto temporary = (expression);                                           \
  if (!temporary) co_return std::unexpected(std::move(temporary.error())); \
  declaration = std::move(*temporary)
#define CO_TRY(declaration, ...) TOCAYO_CO_TRY_(TOCAYO_CONCAT(co_try_, __LINE__), declaration, (__VA_ARGS__))
#define CO_TRY_VOID(...) \
  if (auto co_try_result_ = (__VA_ARGS__); !co_try_result_) co_return std::unexpected(std::move(co_try_result_.error()))
