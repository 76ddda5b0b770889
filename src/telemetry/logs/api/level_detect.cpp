// SPDX-License-Identifier: Apache-2.0
#include "logs/api/level_detect.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace tocayo::logs::api {

namespace {

constexpr std::array<std::string_view, 14> kFields = {
    "level",        "LEVEL", "Level", "log.level", "severity",      "SEVERITY",      "Severity",
    "SeverityText", "lvl",   "LVL",   "Lvl",       "severity_text", "Severity_Text", "SEVERITY_TEXT"};
constexpr std::size_t kLookAt = 512;
constexpr int kDeepest = 2;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
bool same_folded(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

struct Word {
  std::string_view text;
  std::string_view level;
};
constexpr std::array<Word, 14> kValues = {{{"trace", "trace"},
                                           {"trc", "trace"},
                                           {"debug", "debug"},
                                           {"dbg", "debug"},
                                           {"info", "info"},
                                           {"inf", "info"},
                                           {"information", "info"},
                                           {"warn", "warn"},
                                           {"wrn", "warn"},
                                           {"warning", "warn"},
                                           {"error", "error"},
                                           {"err", "error"},
                                           {"critical", "critical"},
                                           {"fatal", "fatal"}}};

// The level that a value is a name of, or "".
std::string_view known_level(std::string_view value) {
  if (value.size() < 3 || value.size() > 11) return {};
  for (const auto& word : kValues) {
    if (!word.text.empty() && same_folded(value, word.text)) return word.level;
  }
  return {};
}

// Words that tell a level inside free text.
constexpr std::array<Word, 9> kWords = {{{"trace", "trace"},
                                         {"debug", "debug"},
                                         {"fatal", "fatal"},
                                         {"critical", "critical"},
                                         {"error", "error"},
                                         {"err", "error"},
                                         {"warning", "warn"},
                                         {"warn", "warn"},
                                         {"info", "info"}}};

constexpr std::array<bool, 256> bytes_of(std::string_view text) {
  std::array<bool, 256> set{};
  for (char c : text) set[static_cast<unsigned char>(c)] = true;
  return set;
}
constexpr auto kLeft = bytes_of(" \t\n[({\"'=|");
constexpr auto kRight = bytes_of(" \t\n[](){}:,!\"'=|");
constexpr auto kFirst = bytes_of("tdfcewiTDFCEWI");

std::string_view first_word(std::string_view line) {
  line = line.substr(0, kLookAt);
  bool boundary = true;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const auto c = static_cast<unsigned char>(line[i]);
    if (boundary && kFirst[c]) {
      for (const auto& word : kWords) {
        const auto end = i + word.text.size();
        if (end > line.size() || !same_folded(line.substr(i, word.text.size()), word.text)) continue;
        if (end == line.size() || kRight[static_cast<unsigned char>(line[end])]) return word.level;
      }
    }
    boundary = kLeft[c];
  }
  return "unknown";
}

bool space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// Walks an object in the order of its members until a level field with a text is found. Stops at what is no JSON.
class JsonWalk {
 public:
  explicit JsonWalk(std::string_view text) : text_(text) {}
  std::string_view find() {
    skip_spaces();
    object(0);
    return found_;
  }

 private:
  bool object(int depth) {  // at '{'
    ++at_;
    skip_spaces();
    if (at('}')) return ++at_, true;
    while (true) {
      std::string_view key;
      if (!string(key)) return false;
      skip_spaces();
      if (!at(':')) return false;
      ++at_;
      skip_spaces();
      if (at('"')) {
        std::string_view value;
        if (!string(value)) return false;
        if (std::ranges::find(kFields, key) != kFields.end()) {
          found_ = value;
          return false;
        }
      } else if (at('{') && depth + 1 < kDeepest) {
        if (!object(depth + 1)) return false;
      } else if (!skip_value()) {
        return false;
      }
      skip_spaces();
      if (at('}')) return ++at_, true;
      if (!at(',')) return false;
      ++at_;
      skip_spaces();
    }
  }
  bool at(char c) const { return at_ < text_.size() && text_[at_] == c; }
  void skip_spaces() {
    while (at_ < text_.size() && space(text_[at_])) ++at_;
  }
  bool string(std::string_view& out) {
    if (!at('"')) return false;
    const auto begin = ++at_;
    while (at_ < text_.size() && text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
    if (at_ >= text_.size()) return false;
    out = text_.substr(begin, at_ - begin);
    ++at_;
    return true;
  }
  bool skip_value() {
    int depth = 0;
    do {
      if (at_ >= text_.size()) return false;
      const char c = text_[at_];
      if (c == '"') {
        std::string_view ignored;
        if (!string(ignored)) return false;
        continue;
      }
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') {
        if (depth == 0) return true;
        --depth;
      }
      if (depth == 0 && c == ',') return true;
      ++at_;
    } while (depth > 0 || (!at(',') && !at('}')));
    return true;
  }
  std::string_view text_;
  std::size_t at_ = 0;
  std::string_view found_;
};

// The value of the level field that is asked first.
std::string_view logfmt_level(std::string_view line) {
  std::size_t best = kFields.size();
  std::string_view value_of_best;
  for (std::size_t i = 0; i < line.size();) {
    if (static_cast<unsigned char>(line[i]) <= ' ') {
      ++i;
      continue;
    }
    const auto begin = i;
    while (i < line.size() && static_cast<unsigned char>(line[i]) > ' ' && line[i] != '=' && line[i] != '"') ++i;
    const auto key = line.substr(begin, i - begin);
    if (i < line.size() && line[i] == '"') return value_of_best;  // not logfmt from here on
    if (i >= line.size() || line[i] != '=') continue;
    ++i;
    std::string_view value;
    if (i < line.size() && line[i] == '"') {
      const auto start = ++i;
      while (i < line.size() && line[i] != '"') i += line[i] == '\\' ? 2 : 1;
      if (i >= line.size()) return value_of_best;
      value = line.substr(start, i - start);
      ++i;
    } else {
      const auto start = i;
      while (i < line.size() && static_cast<unsigned char>(line[i]) > ' ') ++i;
      value = line.substr(start, i - start);
    }
    if (key.size() < 3 || key.size() > 13) continue;
    for (std::size_t field = 0; field < best; ++field) {
      if (!same_folded(key, kFields[field])) continue;
      best = field;
      value_of_best = value;
      break;
    }
    if (best == 0) break;
  }
  return value_of_best;
}

std::string_view level_of_severity_number(std::string_view text) {
  int number = 0;
  const auto end = text.data() + text.size();
  if (const auto parsed = std::from_chars(text.data(), end, number); parsed.ec != std::errc{} || parsed.ptr != end)
    return "info";
  if (number <= 0) return number == 0 ? "unknown" : "trace";
  constexpr std::array<std::string_view, 6> kBands = {"trace", "debug", "info", "warn", "error", "fatal"};
  const auto band = static_cast<std::size_t>((number - 1) / 4);
  return band < kBands.size() ? kBands[band] : "unknown";
}

}  // namespace

std::span<const std::string_view> level_fields() { return kFields; }

std::string_view normalized_level(std::string_view level) {
  const auto known = known_level(level);
  return known.empty() ? level : known;
}

std::string level_of_labels(const Labels& labels) {
  for (auto field : kFields) {
    if (const auto value = labels.get(field); !value.empty()) return std::string(normalized_level(value));
  }
  return {};
}

std::string_view detect_level(std::span<const LabelView> metadata, std::string_view line) {
  if (!metadata.empty()) {
    std::string_view severity_number;
    std::size_t best = kFields.size();
    std::string_view value;
    for (const auto& pair : metadata) {
      if (pair.name == "severity_number") severity_number = pair.value;
      for (std::size_t field = 0; field < best; ++field) {
        if (pair.name != kFields[field]) continue;
        best = field;
        value = pair.value;
        break;
      }
    }
    if (best < kFields.size()) return normalized_level(value);
    if (!severity_number.empty()) return level_of_severity_number(severity_number);
  }
  std::size_t first = 0;
  while (first < line.size() && space(line[first])) ++first;
  std::size_t last = line.size();
  while (last > first && space(line[last - 1])) --last;
  std::string_view value;
  if (first + 1 < last && line[first] == '{' && line[last - 1] == '}') {
    value = JsonWalk(line).find();
  } else if (line.find('=') != std::string_view::npos) {
    value = logfmt_level(line);
  } else {
    return first_word(line);
  }
  const auto known = known_level(value);
  return known.empty() ? first_word(line) : known;
}

const std::vector<std::string>& default_service_names() {
  static const std::vector<std::string> kNames = {"service",
                                                  "app",
                                                  "application",
                                                  "app_name",
                                                  "name",
                                                  "app_kubernetes_io_name",
                                                  "container",
                                                  "container_name",
                                                  "k8s_container_name",
                                                  "component",
                                                  "workload",
                                                  "job",
                                                  "k8s_job_name"};
  return kNames;
}

std::string service_name_of(const Labels& labels, std::span<const std::string> names) {
  for (const auto& name : names) {
    if (const auto value = labels.get(name); !value.empty()) return std::string(value);
  }
  return "unknown_service";
}

}  // namespace tocayo::logs::api
