// SPDX-License-Identifier: Apache-2.0
#include "core/error.h"

#include <cerrno>
#include <cstring>

namespace tocayo {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::bad_input: return "bad_input";
    case ErrorKind::not_found: return "not_found";
    case ErrorKind::conflict: return "conflict";
    case ErrorKind::unauthorized: return "unauthorized";
    case ErrorKind::forbidden: return "forbidden";
    case ErrorKind::limit: return "limit";
    case ErrorKind::too_large: return "too_large";
    case ErrorKind::timeout: return "timeout";
    case ErrorKind::canceled: return "canceled";
    case ErrorKind::unavailable: return "unavailable";
    case ErrorKind::internal: return "internal";
  }
  return "internal";
}

Error&& Error::with_context(std::string_view doing) && {
  message.insert(0, std::string(doing) + ": ");
  return std::move(*this);
}

Error error_from_errno(std::string_view doing, int errno_value) {
  ErrorKind kind = ErrorKind::internal;
  switch (errno_value) {
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE: kind = ErrorKind::unavailable; break;
    case ENOENT: kind = ErrorKind::not_found; break;
    case EEXIST: kind = ErrorKind::conflict; break;
    case EACCES:
    case EPERM: kind = ErrorKind::forbidden; break;
    default: break;
  }
  return Error{kind, std::string(doing) + ": " + std::strerror(errno_value)};
}

}  // namespace tocayo
