// SPDX-License-Identifier: Apache-2.0
#include "agent/logs/paths.h"

#include <dirent.h>
#include <fnmatch.h>
#include <glob.h>

#include <algorithm>
#include <memory>

#include "core/text.h"

namespace tocayo::agent {
namespace {

constexpr std::size_t kMaxAlternatives = 1000;
constexpr unsigned kMaxDepth = 64;

void glob_into(const std::string& pattern, std::vector<std::string>& out, std::size_t most) {
  glob_t found{};
  if (::glob(pattern.c_str(), GLOB_NOSORT | GLOB_PERIOD, nullptr, &found) == 0) {
    for (std::size_t i = 0; i < found.gl_pathc && out.size() < most; ++i) {
      const std::string_view path = found.gl_pathv[i];
      if (!path.ends_with("/.") && !path.ends_with("/..")) out.emplace_back(path);
    }
  }
  ::globfree(&found);
}

// `directory` and those below it.
void directories_below(const std::string& directory, std::vector<std::string>& out, std::size_t most, unsigned depth) {
  if (out.size() >= most || depth > kMaxDepth) return;
  out.push_back(directory);
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(directory.empty() ? "/" : directory.c_str()), ::closedir);
  if (open == nullptr) return;
  while (const dirent* entry = ::readdir(open.get())) {  // NOLINT(concurrency-mt-unsafe): the stream is our own
    const std::string_view name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..")
      directories_below(directory + "/" + std::string(name), out, most, depth + 1);
  }
}

bool parts_match(std::vector<std::string_view>::const_iterator pattern,
                 std::vector<std::string_view>::const_iterator pattern_end,
                 std::vector<std::string_view>::const_iterator path,
                 std::vector<std::string_view>::const_iterator path_end) {
  for (; pattern != pattern_end; ++pattern, ++path) {
    if (*pattern == "**") {
      if (pattern + 1 == pattern_end) return true;
      for (auto rest = path;; ++rest) {
        if (parts_match(pattern + 1, pattern_end, rest, path_end)) return true;
        if (rest == path_end) return false;
      }
    }
    if (path == path_end) return false;
    if (::fnmatch(std::string(*pattern).c_str(), std::string(*path).c_str(), 0) != 0) return false;
  }
  return path == path_end;
}

}  // namespace

std::vector<std::string> expand_braces(std::string_view pattern) {
  std::vector<std::string> done;
  std::vector<std::string> open{std::string(pattern)};
  while (!open.empty() && done.size() + open.size() <= kMaxAlternatives) {
    const std::string text = std::move(open.back());
    open.pop_back();
    const auto begin = text.find('{');
    const auto end = begin == std::string::npos ? begin : text.find('}', begin);
    if (end == std::string::npos) {
      done.push_back(text);
      continue;
    }
    for (const auto part : split(std::string_view(text).substr(begin + 1, end - begin - 1), ','))
      open.push_back(text.substr(0, begin) + std::string(part) + text.substr(end + 1));
  }
  std::ranges::sort(done);
  return done;
}

std::vector<std::string> expand_path(const std::string& pattern, std::size_t most) {
  std::vector<std::string> out;
  for (const auto& one : expand_braces(pattern)) {
    const auto stars = one.find("/**");
    if (stars == std::string::npos || (stars + 3 < one.size() && one[stars + 3] != '/')) {
      glob_into(one, out, most);
      continue;
    }
    std::vector<std::string> bases, below;
    if (stars == 0)
      bases.emplace_back();
    else
      glob_into(one.substr(0, stars), bases, most);
    for (const auto& base : bases) directories_below(base, below, most, 0);
    const std::string rest = stars + 3 < one.size() ? one.substr(stars + 3) : "/*";
    for (const auto& directory : below) {
      if (out.size() >= most) break;
      if (rest.find("/**") != std::string::npos) {
        for (auto& path : expand_path(directory + rest, most - out.size())) out.push_back(std::move(path));
      } else {
        glob_into(directory + rest, out, most);
      }
    }
  }
  std::ranges::sort(out);
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

bool path_matches(std::string_view pattern, std::string_view path) {
  for (const auto& one : expand_braces(pattern)) {
    const auto a = split(one, '/'), b = split(path, '/');
    if (parts_match(a.begin(), a.end(), b.begin(), b.end())) return true;
  }
  return false;
}

}  // namespace tocayo::agent
