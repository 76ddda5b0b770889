// SPDX-License-Identifier: Apache-2.0
// Log files that are not UTF-8.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/error.h"

namespace tocayo::agent {

// How the bytes of a file become lines of UTF-8. Not thread-safe; movable.
class Encoding {
 public:
  Encoding();  // UTF-8: nothing is changed
  ~Encoding();
  Encoding(Encoding&&) noexcept;
  Encoding& operator=(Encoding&&) noexcept;

  // "utf-16le", "utf-16be", "windows-1252" … (IANA names). bad_input for names that the system does not know and for
  // encodings in which a line's end cannot be told from its bytes.
  static Result<Encoding> of(std::string_view name);

  bool plain() const { return converter_ == nullptr; }
  std::size_t unit() const { return unit_; }  // bytes of a character: 1 or 2
  // First place at or after `from` (a multiple of unit()) where a line ends; npos. A line end is unit() bytes long.
  std::size_t find_end(std::string_view bytes, std::size_t from) const;
  // What cannot be converted becomes U+FFFD. A byte order mark goes.
  std::string convert(std::string_view bytes);

 private:
  struct Converter;
  std::unique_ptr<Converter> converter_;
  std::size_t unit_ = 1;
  bool big_endian_ = false;
};

}  // namespace tocayo::agent
