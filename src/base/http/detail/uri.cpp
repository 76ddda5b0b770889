// SPDX-License-Identifier: Apache-2.0
#include "http/detail/uri.h"

#include <algorithm>

#include "core/percent.h"

namespace tocayo::http::detail {

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
