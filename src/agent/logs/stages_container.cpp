// SPDX-License-Identifier: Apache-2.0
// docker and cri: what container runtimes write becomes what containers printed.
#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <unordered_map>

#include "agent/logs/container_lines.h"
#include "agent/logs/json_text.h"
#include "agent/logs/stage.h"
#include "agent/logs/stage_parsers.h"
#include "core/log.h"
#include "core/text.h"

namespace tocayo::agent {

std::optional<CriLine> parse_cri_line(std::string_view line) {
  CriLine out;
  const auto first = line.find(' ');
  if (first == std::string_view::npos || first == 0) return std::nullopt;
  const auto second = line.find(' ', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  const auto third = line.find(' ', second + 1);
  if (third == std::string_view::npos || third == second + 1) return std::nullopt;
  out.time = line.substr(0, first);
  out.stream = line.substr(first + 1, second - first - 1);
  out.tags = line.substr(second + 1, third - second - 1);
  out.text = line.substr(third + 1);
  if (out.stream != "stdout" && out.stream != "stderr") return std::nullopt;
  for (const auto part : {out.time, out.tags}) {
    if (part.find_first_of("\t\r\n\v\f") != std::string_view::npos) return std::nullopt;
  }
  out.partial = out.tags.substr(0, out.tags.find(':')) == "P";
  return out;
}

std::optional<DockerLine> parse_docker_line(std::string_view line) {
  const auto value = parse_json(line);
  if (!value || !value->is_object()) return std::nullopt;
  const auto& object = value->get_object();
  DockerLine out;
  auto text = [&](const char* name, std::string& to) {
    if (const auto* member = object.if_contains(name); member != nullptr && member->is_string())
      to = std::string(member->get_string());
  };
  text("log", out.text);
  text("stream", out.stream);
  text("time", out.time);
  return out;
}

namespace {

// Of docker and cri alike: pieces of a line are kept by stream until its end comes.
class Joiner {
 public:
  // Puts the pieces that came before in front of `line`; `line` keeps its own time, as promtail has it.
  void finish(std::uint64_t stream, LogLine& line) {
    const auto found = pieces_.find(stream);
    if (found == pieces_.end()) return;
    line.text = found->second.text + line.text;
    line.origin.begin = std::min(line.origin.begin, found->second.origin.begin);
    pieces_.erase(found);
  }
  // Keeps it; `let_go` gets what must go because there are too many streams.
  template <typename LetGo>
  void keep(std::uint64_t stream, LogLine line, std::size_t most, LetGo let_go) {
    if (pieces_.size() >= most && !pieces_.contains(stream)) flush(let_go);
    finish(stream, line);
    pieces_[stream] = std::move(line);
  }
  template <typename LetGo>
  void flush(LetGo let_go) {
    auto pieces = std::move(pieces_);
    pieces_.clear();
    for (auto& [stream, line] : pieces) let_go(std::move(line));
  }
  LogLine* find(std::uint64_t stream) {
    const auto found = pieces_.find(stream);
    return found == pieces_.end() ? nullptr : &found->second;
  }
  const std::unordered_map<std::uint64_t, LogLine>& pieces() const { return pieces_; }

 private:
  std::unordered_map<std::uint64_t, LogLine> pieces_;  // by the hash of the labels
};

// ---- cri

struct CriSettings {
  std::int64_t max_partial_lines = 100;
  std::uint64_t max_partial_line_size = 0;
  bool truncate = false;
};

class CriStage final : public Stage {
 public:
  CriStage(CriSettings settings, const StageContext&) : settings_(settings) {}

  void take(LogLine line) override {
    const std::string whole = std::move(line.text);
    const auto parsed = parse_cri_line(whole);
    line.text = parsed ? std::string(parsed->text) : whole;
    if (!parsed) return pass(std::move(line));
    line.fields.set("time", std::string(parsed->time));
    line.fields.set("stream", std::string(parsed->stream));
    line.fields.set("flags", std::string(parsed->tags));
    line.fields.set("content", std::string(parsed->text));
    set_stream(line, parsed->stream);
    if (const auto time = parse_rfc3339_nano(parsed->time)) line.time = *time;
    const auto stream = line.labels->hash();
    if (parsed->partial) {
      joiner_.keep(stream, std::move(line), static_cast<std::size_t>(settings_.max_partial_lines),
                   [&](LogLine held) { pass(std::move(held)); });
      if (LogLine* kept = joiner_.find(stream)) cut(*kept);
      return;
    }
    if (joiner_.find(stream) != nullptr) {
      joiner_.finish(stream, line);
      cut(line);
    }
    pass(std::move(line));
  }
  void flush() override {
    joiner_.flush([&](LogLine line) { pass(std::move(line)); });
  }
  void held(std::map<std::uint32_t, std::uint64_t>& first) const override {
    for (const auto& [stream, line] : joiner_.pieces()) note_held(first, line.origin);
  }

 private:
  void cut(LogLine& line) const {
    if (settings_.truncate && line.text.size() > settings_.max_partial_line_size)
      line.text.resize(settings_.max_partial_line_size);
  }
  // The same two label sets serve line after line.
  void set_stream(LogLine& line, std::string_view stream) {
    auto& known = made_[stream == "stderr" ? 1 : 0];
    if (known.first != line.labels) {
      known.first = line.labels;
      auto labels = std::make_shared<Labels>(*line.labels);
      labels->set("stream", stream);
      known.second = std::move(labels);
    }
    line.labels = known.second;
  }

  CriSettings settings_;
  Joiner joiner_;
  std::pair<std::shared_ptr<const Labels>, std::shared_ptr<const Labels>> made_[2];  // before, after; shared with lines
};

// ---- docker

// promtail leaves a long line in the pieces that Docker cut it into; here they are joined: a piece has no newline.
class DockerStage final : public Stage {
 public:
  DockerStage(bool join, const StageContext&) : join_(join) {}

  void take(LogLine line) override {
    const auto parsed = parse_docker_line(line.text);
    if (!parsed) return pass(std::move(line));
    line.fields.set("output", parsed->text);
    line.fields.set("stream", parsed->stream);
    line.fields.set("timestamp", parsed->time);
    if (!parsed->stream.empty() && is_valid_utf8(parsed->stream)) line.set_label("stream", parsed->stream);
    if (const auto time = parse_rfc3339_nano(parsed->time)) line.time = *time;
    line.text = parsed->text;
    const bool ends = line.text.ends_with('\n');
    if (ends) line.text.pop_back();
    if (line.text.ends_with('\r') && ends) line.text.pop_back();
    const auto stream = line.labels->hash();
    if (!ends && join_) {
      const auto now = line.time;
      joiner_.keep(stream, std::move(line), kMaxStreams, [&](LogLine held) { pass(std::move(held)); });
      // A line without end must not grow for ever.
      if (LogLine* kept = joiner_.find(stream); kept != nullptr && kept->text.size() > kMaxJoined) {
        LogLine whole;
        whole = *kept;
        whole.text.clear();
        joiner_.finish(stream, whole);
        whole.time = now;
        pass(std::move(whole));
      }
      return;
    }
    joiner_.finish(stream, line);
    pass(std::move(line));
  }
  void flush() override {
    joiner_.flush([&](LogLine line) { pass(std::move(line)); });
  }
  void held(std::map<std::uint32_t, std::uint64_t>& first) const override {
    for (const auto& [stream, line] : joiner_.pieces()) note_held(first, line.origin);
  }

 private:
  static constexpr std::size_t kMaxStreams = 1000, kMaxJoined = 1 << 20;
  bool join_;
  Joiner joiner_;
};

}  // namespace

Result<StageFactory> parse_docker_stage(const YAML::Node&, const YAML::Node& config, const std::string& file) {
  yaml::Fields fields(config, file);
  TRY(fields.open());
  bool join = true;
  TRY(fields.read("join_partial_lines", join));
  TRY(fields.finish());
  return [join](const StageContext& context) -> std::unique_ptr<Stage> {
    return std::make_unique<DockerStage>(join, context);
  };
}

Result<StageFactory> parse_cri_stage(const YAML::Node&, const YAML::Node& config, const std::string& file) {
  yaml::Fields fields(config, file);
  TRY(fields.open());
  CriSettings settings;
  TRY(fields.read("max_partial_lines", settings.max_partial_lines));
  TRY(fields.read_bytes("max_partial_line_size", settings.max_partial_line_size));
  TRY(fields.read("max_partial_line_size_truncate", settings.truncate));
  TRY(fields.finish());
  if (settings.max_partial_lines == 0) settings.max_partial_lines = 100;
  if (settings.max_partial_lines < 0) return std::unexpected(fields.error("max_partial_lines", "must not be negative"));
  return [settings](const StageContext& context) -> std::unique_ptr<Stage> {
    return std::make_unique<CriStage>(settings, context);
  };
}

}  // namespace tocayo::agent
