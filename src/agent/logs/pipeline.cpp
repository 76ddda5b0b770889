// SPDX-License-Identifier: Apache-2.0
#include "agent/logs/pipeline.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>

#include "agent/logs/stage.h"
#include "core/text.h"
#include "template/go_text.h"
#include "template/go_time.h"

namespace tocayo::agent {

namespace {

class SinkStage final : public Stage {
 public:
  explicit SinkStage(Pipeline::Sink sink) : sink_(std::move(sink)) {}
  void take(LogLine line) override { sink_(std::move(line)); }

 private:
  Pipeline::Sink sink_;
};

TimestampNs system_now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

const std::map<std::string, StageParser, std::less<>>* const* tables() {
  static const std::map<std::string, StageParser, std::less<>>* const all[] = {
      &parsing_stages(), &editing_stages(), &flow_stages(), &metric_stages(), nullptr};
  return all;
}

}  // namespace

Result<PipelinePlan> PipelinePlan::parse(const YAML::Node& list, std::string_view file) {
  PipelinePlan plan;
  if (!list.IsDefined() || list.IsNull()) return plan;
  const std::string name(file);
  if (!list.IsSequence()) return std::unexpected(yaml::error_at(list, file, "a list of stages is expected"));
  for (const auto& item : list) {
    if (!item.IsMap() || item.size() != 1) {
      return std::unexpected(
          yaml::error_at(item, file, "a stage is a mapping with one key, its name (does it end with a colon?)"));
    }
    const auto entry = item.begin();
    const YAML::Node key = entry->first;
    if (!key.IsScalar()) return std::unexpected(yaml::error_at(key, file, "the name of a stage is expected"));
    StageParser parser = nullptr;
    std::vector<std::string> names;
    for (const auto* const* table = tables(); *table != nullptr; ++table) {
      if (const auto found = (*table)->find(key.Scalar()); found != (*table)->end()) parser = found->second;
      for (const auto& [known, unused] : **table) names.push_back(known);
    }
    if (parser == nullptr) {
      if (key.Scalar() == "geoip") return stage_error(key, file, "the stage geoip is not supported");
      const auto near = nearest(key.Scalar(), names);
      return stage_error(key, file,
                         near.empty() ? fmt::format("unknown stage \"{}\"", key.Scalar())
                                      : fmt::format("unknown stage \"{}\"; did you mean \"{}\"?", key.Scalar(), near));
    }
    plan.stages_.push_back(TRY(parser(key, entry->second, name)));
  }
  return plan;
}

PipelinePlan PipelinePlan::built_in(std::string_view name) {
  auto made = PipelinePlan::parse(YAML::Load("[{" + std::string(name) + ": {}}]"), "built-in");
  return made ? std::move(*made) : PipelinePlan();
}

void PipelinePlan::prepend(const PipelinePlan& other) {
  stages_.insert(stages_.begin(), other.stages_.begin(), other.stages_.end());
}

Pipeline::Pipeline(const PipelinePlan& plan, std::string job, Registry& registry, Sink sink, PipelineClocks clocks)
    : context_(new StageContext{.job = std::move(job), .registry = registry, .clocks = std::move(clocks)}) {
  if (!context_->clocks.wall) context_->clocks.wall = system_now;
  if (!context_->clocks.steady) context_->clocks.steady = [] { return Steady::now(); };
  if (context_->clocks.seed == 0) context_->clocks.seed = std::random_device{}();
  for (const auto& factory : plan.stages_) stages_.push_back(factory(*context_));
  stages_.push_back(std::make_unique<SinkStage>(std::move(sink)));
  for (std::size_t i = 0; i + 1 < stages_.size(); ++i) stages_[i]->lead_to(*stages_[i + 1]);
}

Pipeline::~Pipeline() = default;

void Pipeline::take(LogLine line) {
  line.fields.seed(line.labels);
  stages_.front()->take(std::move(line));
}
void Pipeline::expire() {
  for (auto& stage : stages_) stage->expire();
}
void Pipeline::flush() {
  // In order: what one lets go may be held by a later one.
  for (auto& stage : stages_) stage->flush();
}
void Pipeline::held(std::map<std::uint32_t, std::uint64_t>& first) const {
  for (const auto& stage : stages_) stage->held(first);
}
bool Pipeline::full() const {
  return std::ranges::any_of(stages_, [](const auto& stage) { return stage->full(); });
}

// ---- stage.h

void StageContext::dropped(std::string_view reason) const {
  for (const char* name : {"tocayo_agent_log_stage_dropped_total", "logentry_dropped_lines_total"}) {
    registry.counter(name, "Lines that a stage of a pipeline left out.", {{"reason", std::string(reason)}}).add();
  }
}

void Stage::note_held(std::map<std::uint32_t, std::uint64_t>& first, const Origin& origin) {
  const auto [found, fresh] = first.try_emplace(origin.source, origin.begin);
  if (!fresh) found->second = std::min(found->second, origin.begin);
}

std::unexpected<Error> stage_error(const YAML::Node& at, std::string_view file, std::string message) {
  return std::unexpected(yaml::error_at(at, file, message));
}

std::shared_ptr<const re2::RE2> compile_regex(std::string_view expression, std::string& error) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  auto regex = std::make_shared<re2::RE2>(re2::StringPiece(expression.data(), expression.size()), options);
  if (!regex->ok()) {
    error = templates::regex_error(*regex);
    return nullptr;
  }
  return regex;
}

Result<std::shared_ptr<const re2::RE2>> read_regex(yaml::Fields& fields, const std::string& key) {
  std::string text, error;
  TRY(fields.read(key, text));
  auto regex = compile_regex(text, error);
  if (regex == nullptr) return std::unexpected(fields.error(key, error));
  return regex;
}

Result<std::optional<std::string>> read_source(yaml::Fields& fields) {
  if (!fields.has("source")) return std::optional<std::string>();
  std::string source;
  TRY(fields.read("source", source));
  if (source.empty()) return std::unexpected(fields.error("source", "must not be empty"));
  return std::optional(std::move(source));
}

Result<std::optional<std::int64_t>> read_go_duration(yaml::Fields& fields, const std::string& key) {
  if (!fields.has(key)) return std::optional<std::int64_t>();
  std::string text;
  TRY(fields.read(key, text));
  auto value = templates::parse_duration_go(text);
  if (!value) return std::unexpected(fields.error(key, value.error().message));
  return std::optional(*value);
}

std::optional<std::string_view> input_of(const LogLine& line, const std::optional<std::string>& source,
                                         std::string& scratch) {
  if (!source) return line.text;
  return line.fields.text(*source, scratch);
}

}  // namespace tocayo::agent
