// SPDX-License-Identifier: Apache-2.0
#include "agent/logs/encoding.h"

#include <fmt/format.h>
#include <iconv.h>

#include <algorithm>
#include <cerrno>

#include "core/text.h"

namespace tocayo::agent {

struct Encoding::Converter {
  explicit Converter(iconv_t d) : descriptor(d) {}
  Converter(const Converter&) = delete;
  Converter& operator=(const Converter&) = delete;
  ~Converter() { ::iconv_close(descriptor); }
  iconv_t descriptor;
};

Encoding::Encoding() = default;
Encoding::~Encoding() = default;
Encoding::Encoding(Encoding&&) noexcept = default;
Encoding& Encoding::operator=(Encoding&&) noexcept = default;

Result<Encoding> Encoding::of(std::string_view name) {
  const std::string lower = to_lower(name);
  Encoding out;
  if (lower.empty() || lower == "utf-8" || lower == "utf8" || lower == "us-ascii") return out;
  std::string from = lower;
  if (lower == "utf-16le" || lower == "utf-16be") {
    out.unit_ = 2;
    out.big_endian_ = lower == "utf-16be";
  } else if (lower.starts_with("utf-16") || lower.starts_with("utf-32") || lower.starts_with("utf-7") ||
             lower.starts_with("ucs") || lower.starts_with("iso-2022") || lower.starts_with("hz") ||
             lower.starts_with("ebcdic") || lower.starts_with("ibm") || lower.starts_with("unicode") ||
             lower.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_:.") != std::string::npos) {
    return fail(ErrorKind::bad_input,
                fmt::format("{} is not supported (utf-16le, utf-16be and those with one-byte line ends are)", name));
  }
  const iconv_t descriptor = ::iconv_open("UTF-8", from.c_str());
  // NOLINTNEXTLINE(performance-no-int-to-ptr): that is how iconv says no
  if (descriptor == reinterpret_cast<iconv_t>(-1))
    return fail(ErrorKind::bad_input, fmt::format("unknown encoding {}", name));
  out.converter_ = std::make_unique<Converter>(descriptor);
  return out;
}

std::size_t Encoding::find_end(std::string_view bytes, std::size_t from) const {
  if (unit_ == 1) return bytes.find('\n', from);
  for (std::size_t at = from; at + 1 < bytes.size(); at += 2) {
    const char low = bytes[at + (big_endian_ ? 1 : 0)], high = bytes[at + (big_endian_ ? 0 : 1)];
    if (low == '\n' && high == '\0') return at;
  }
  return std::string_view::npos;
}

std::string Encoding::convert(std::string_view bytes) {
  if (plain()) return std::string(bytes);
  std::string copy(bytes), out;
  out.resize(copy.size() * 3 + 16);
  char* from = copy.data();
  std::size_t left = copy.size();
  char* to = out.data();
  std::size_t room = out.size();
  ::iconv(converter_->descriptor, nullptr, nullptr, nullptr, nullptr);
  while (left > 0) {
    if (::iconv(converter_->descriptor, &from, &left, &to, &room) != static_cast<std::size_t>(-1)) break;
    if (errno == E2BIG || room < 8) {
      const auto done = static_cast<std::size_t>(to - out.data());
      out.resize(out.size() * 2);
      to = out.data() + done;
      room = out.size() - done;
      if (errno == E2BIG) continue;
    }
    for (const char c : std::string_view("\xEF\xBF\xBD")) *to++ = c;
    room -= 3;
    const auto skip = std::min(left, unit_);
    from += skip;
    left -= skip;
  }
  out.resize(static_cast<std::size_t>(to - out.data()));
  if (out.starts_with("\xEF\xBB\xBF")) out.erase(0, 3);
  return out;
}

}  // namespace tocayo::agent
