// SPDX-License-Identifier: Apache-2.0
// `pipeline_stages` of a promtail file: read once, run over lines. Semantics of promtail 2.9/3.x (README.md has the
// differences).
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/logs/line.h"
#include "core/error.h"
#include "core/registry.h"
#include "core/time.h"

namespace YAML {
class Node;
}

namespace tocayo::agent {

class Stage;
struct StageContext;
using StageFactory = std::function<std::unique_ptr<Stage>(const StageContext&)>;

// The stages as configured: immutable, shared by the runs made of it.
class PipelinePlan {
 public:
  PipelinePlan() = default;
  // A list of stages, each a mapping of one name to its settings. Errors "<file>:<line>:<column>: …".
  static Result<PipelinePlan> parse(const YAML::Node& list, std::string_view file);
  bool empty() const { return stages_.empty(); }

  // Adds a stage of another name in front: "docker" or "cri".
  static PipelinePlan built_in(std::string_view name);
  void prepend(const PipelinePlan& other);

 private:
  friend class Pipeline;
  friend class MatchStage;
  std::vector<StageFactory> stages_;
};

struct PipelineClocks {
  std::function<TimestampNs()> wall;  // default: the system's
  std::function<std::chrono::steady_clock::time_point()> steady;
  std::uint64_t seed = 0;  // of sampling; 0: random
};

// One run of a plan. One thread. Lines come out in the order in which the stages let them go.
class Pipeline {
 public:
  using Sink = std::function<void(LogLine)>;
  Pipeline(const PipelinePlan& plan, std::string job, Registry& registry, Sink sink, PipelineClocks clocks = {});
  ~Pipeline();
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  // Seeds the line's fields with its labels and runs it.
  void take(LogLine line);
  // Lets go what waited long enough (multiline, limit). Call it now and then.
  void expire();
  // Lets go everything that is held.
  void flush();
  // By source: where the first held line of it begins. What lies before is wholly through.
  void held(std::map<std::uint32_t, std::uint64_t>& first) const;
  // A stage holds lines back to keep a rate: hand in no more before expire() has emptied it.
  bool full() const;

 private:
  std::unique_ptr<StageContext> context_;
  std::vector<std::unique_ptr<Stage>> stages_;  // the sink last
};

}  // namespace tocayo::agent
