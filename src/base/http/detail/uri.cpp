// SPDX-License-Identifier: Apache-2.0
#include "http/detail/uri.h"

#include <algorithm>

namespace tocayo::http::detail {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The byte that "%XY" at `at` stands for, or -1.
int escape_at(std::string_view text, std::size_t at) {
  if (at + 2 >= text.size()) return -1;
  int high = hex_value(text[at + 1]);
  int low = hex_value(text[at + 2]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

}  // namespace

std::optional<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    int byte = escape_at(text, i);
    if (byte <= 0) return std::nullopt;
    out += static_cast<char>(byte);
    i += 2;
  }
  return out;
}

std::string form_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    int byte = text[i] == '%' ? escape_at(text, i) : -1;
    if (byte >= 0) {
      out += static_cast<char>(byte);
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

std::vector<std::string> split_segments(std::string_view path) {
  std::vector<std::string> segments;
  std::size_t at = 0;
  while (at < path.size()) {
    if (path[at] == '/') {
      ++at;
      continue;
    }
    auto end = std::min(path.find('/', at), path.size());
    segments.emplace_back(path.substr(at, end - at));
    at = end;
  }
  if (!segments.empty() && path.ends_with('/')) segments.emplace_back();
  return segments;
}

Result<Target> parse_target(std::string_view target, std::string_view base_path) {
  for (char c : target) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7F)
      return fail(ErrorKind::bad_input, "the request target has a control character");
    if (c == '#') return fail(ErrorKind::bad_input, "the request target has a fragment");
  }
  if (!target.starts_with('/')) {  // absolute-form: scheme "://" authority path
    auto scheme = target.find("://");
    if (scheme == std::string_view::npos)
      return fail(ErrorKind::bad_input, "the request target is neither a path nor a URL");
    auto start = target.find_first_of("/?", scheme + 3);
    target = start == std::string_view::npos ? std::string_view("/") : target.substr(start);
  }
  Target result;
  auto question = target.find('?');
  if (question != std::string_view::npos) result.query = target.substr(question + 1);
  auto path = target.substr(0, question);
  if (!base_path.empty()) {
    if (path == base_path) {
      result.at_base = true;
      path = "/";
    } else if (path.starts_with(base_path) && path[base_path.size()] == '/') {
      path.remove_prefix(base_path.size());
    } else {
      result.outside = true;
    }
  }
  for (auto& segment : split_segments(path)) {
    auto decoded = percent_decode(segment);
    if (!decoded) return fail(ErrorKind::bad_input, "the path has a broken percent-escape");
    if (*decoded == "." || *decoded == "..") return fail(ErrorKind::bad_input, "the path has a dot segment");
    result.path += '/';
    result.path += *decoded;
    result.segments.push_back(std::move(*decoded));
  }
  if (result.path.empty()) result.path = "/";
  return result;
}

}  // namespace tocayo::http::detail
