// SPDX-License-Identifier: Apache-2.0
// Private to logs: what the stages of a pipeline are made of.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>

#include "agent/logs/line.h"
#include "agent/logs/pipeline.h"
#include "core/registry.h"
#include "core/yaml.h"

namespace re2 {
class RE2;
}

namespace tocayo::agent {

using Steady = std::chrono::steady_clock;

// Outlives the stages made with it.
struct StageContext {
  std::string job;
  Registry& registry;
  PipelineClocks clocks;
  TimestampNs wall() const { return clocks.wall(); }
  Steady::time_point steady() const { return clocks.steady(); }
  // A line that a stage left out.
  void dropped(std::string_view reason) const;
};

// Takes lines and hands them to the next one. A stage that holds lines says so.
class Stage {
 public:
  virtual ~Stage() = default;
  virtual void take(LogLine line) = 0;
  virtual void expire() {}
  virtual void flush() {}
  virtual void held(std::map<std::uint32_t, std::uint64_t>&) const {}
  virtual bool full() const { return false; }

  void lead_to(Stage& next) { next_ = &next; }

 protected:
  void pass(LogLine line) { next_->take(std::move(line)); }
  static void note_held(std::map<std::uint32_t, std::uint64_t>& first, const Origin& origin);

 private:
  Stage* next_ = nullptr;
};

// A stage that changes a line, or leaves it out (false), and needs nothing else.
class PlainStage : public Stage {
 public:
  void take(LogLine line) final {
    if (work(line)) pass(std::move(line));
  }

 protected:
  virtual bool work(LogLine& line) = 0;
};

// `config` is the value behind the stage's name. Errors "<file>:<line>:<column>: …" at `name`.
using StageParser = Result<StageFactory> (*)(const YAML::Node& name, const YAML::Node& config, const std::string& file);
const std::map<std::string, StageParser, std::less<>>& parsing_stages();  // json, logfmt, regex, eventlogmessage
const std::map<std::string, StageParser, std::less<>>& editing_stages();  // labels, timestamp, output, …
const std::map<std::string, StageParser, std::less<>>& flow_stages();     // match, multiline, drop, …
const std::map<std::string, StageParser, std::less<>>& metric_stages();   // metrics

// ---- for the parsers

std::shared_ptr<const re2::RE2> compile_regex(std::string_view expression, std::string& error);
// The expression of a key; an error at it.
Result<std::shared_ptr<const re2::RE2>> read_regex(yaml::Fields& fields, const std::string& key);
// `source`: nullopt when absent, an error when empty.
Result<std::optional<std::string>> read_source(yaml::Fields& fields);
// Go's duration ("1h30m", "500ms") into nanoseconds.
Result<std::optional<std::int64_t>> read_go_duration(yaml::Fields& fields, const std::string& key);
// The line, or the field that `source` names; nullopt: there is none.
std::optional<std::string_view> input_of(const LogLine& line, const std::optional<std::string>& source,
                                         std::string& scratch);
// The error that the stage's parser returns for itself.
std::unexpected<Error> stage_error(const YAML::Node& at, std::string_view file, std::string message);

}  // namespace tocayo::agent
