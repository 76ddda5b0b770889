// SPDX-License-Identifier: Apache-2.0
// Stages that decide which lines go on and when: match, drop, sampling, limit, multiline.
#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <deque>
#include <unordered_map>

#include "agent/logs/stage.h"
#include "agent/logs/stage_parsers.h"
#include "core/text.h"
#include "logql/pipeline/pipeline.h"
#include "logql/syntax/parser.h"

namespace tocayo::agent {

// ---- match: other stages for the lines that a selector chooses

struct MatchSettings {
  std::vector<Matcher> matchers;
  std::optional<logql::Pipeline> filter;  // what stands behind the selector
  PipelinePlan plan;
  bool drop = false;
  std::string reason = "match_stage";
};

class MatchStage final : public Stage {
 public:
  MatchStage(std::shared_ptr<const MatchSettings> settings, const StageContext& context)
      : settings_(std::move(settings)), context_(context), end_(*this) {
    for (const auto& factory : settings_->plan.stages_) inner_.push_back(factory(context));
    for (std::size_t i = 0; i < inner_.size(); ++i)
      inner_[i]->lead_to(i + 1 < inner_.size() ? *inner_[i + 1] : static_cast<Stage&>(end_));
    if (settings_->filter) processor_.emplace(*settings_->filter);
  }

  void take(LogLine line) override {
    if (!chosen(line)) return pass(std::move(line));
    if (settings_->drop) return context_.dropped(settings_->reason);
    line.fields.seed(line.labels);
    inner_.front()->take(std::move(line));
  }
  void expire() override {
    for (auto& stage : inner_) stage->expire();
  }
  void flush() override {
    for (auto& stage : inner_) stage->flush();
  }
  void held(std::map<std::uint32_t, std::uint64_t>& first) const override {
    for (const auto& stage : inner_) stage->held(first);
  }
  bool full() const override {
    return std::ranges::any_of(inner_, [](const auto& stage) { return stage->full(); });
  }

 private:
  // Behind the inner stages lines go on where this stage leads to.
  class End final : public Stage {
   public:
    explicit End(MatchStage& owner) : owner_(owner) {}
    void take(LogLine line) override { owner_.pass(std::move(line)); }

   private:
    MatchStage& owner_;
  };

  bool chosen(const LogLine& line) {
    for (const Matcher& matcher : settings_->matchers) {
      if (!matcher.matches(line.labels->get(matcher.name()))) return false;
    }
    if (!processor_) return true;
    if (stream_ != line.labels) {
      stream_ = line.labels;
      processor_->set_stream(*stream_);
    }
    return processor_->process(line.time, line.text, {});
  }

  std::shared_ptr<const MatchSettings> settings_;
  const StageContext& context_;
  End end_;
  std::vector<std::unique_ptr<Stage>> inner_;
  std::shared_ptr<const Labels> stream_;  // shared with lines; outlives what the processor borrows of it
  std::optional<logql::Processor> processor_;
};

namespace {

Result<StageFactory> parse_match(const YAML::Node& name, const YAML::Node& config, const std::string& file) {
  yaml::Fields fields(config, file);
  TRY(fields.open());
  auto settings = std::make_shared<MatchSettings>();
  std::string selector, action = "keep", reason, pipeline;
  TRY(fields.read("selector", selector));
  TRY(fields.read("action", action));
  TRY(fields.read("drop_counter_reason", reason));
  TRY(fields.read("pipeline_name", pipeline));
  if (fields.has("pipeline_name") && pipeline.empty())
    return std::unexpected(fields.error("pipeline_name", "must not be empty"));
  const YAML::Node stages = fields.get("stages");
  TRY(fields.finish());
  if (selector.empty()) return stage_error(name, file, "match: selector is missing");
  if (action != "keep" && action != "drop") return std::unexpected(fields.error("action", "keep or drop is expected"));
  settings->drop = action == "drop";
  if (!reason.empty()) settings->reason = reason;
  const bool has_stages = stages.IsDefined() && stages.IsSequence() && stages.size() > 0;
  if (settings->drop && has_stages)
    return stage_error(stages, file, "match: with action drop there is nothing left for stages to do");
  if (!settings->drop && !has_stages) return stage_error(name, file, "match: at least one stage is needed");
  auto query = logql::parse_log(selector);
  if (!query) return std::unexpected(fields.error("selector", query.error().message));
  settings->matchers = query->matchers;
  if (!query->stages.empty()) {
    auto compiled = logql::Pipeline::compile(query->stages);
    if (!compiled) return std::unexpected(fields.error("selector", compiled.error().message));
    settings->filter = std::move(*compiled);
  }
  settings->plan = TRY(PipelinePlan::parse(stages, file));
  return [settings](const StageContext& context) -> std::unique_ptr<Stage> {
    return std::make_unique<MatchStage>(settings, context);
  };
}

// ---- drop: all conditions that are given must hold

struct DropSettings {
  std::vector<std::string> sources;
  bool has_source = false;
  std::string separator = ";", reason = "drop_stage";
  std::shared_ptr<const re2::RE2> regex;
  std::optional<std::int64_t> older_than_ns;
  std::optional<std::uint64_t> longer_than;
};

class DropStage final : public PlainStage {
 public:
  DropStage(std::shared_ptr<const DropSettings> settings, const StageContext& context)
      : settings_(std::move(settings)), context_(context) {}

 protected:
  bool work(LogLine& line) override {
    if (!goes(line)) return true;
    context_.dropped(settings_->reason);
    return false;
  }

 private:
  bool goes(const LogLine& line) const {
    if (settings_->longer_than && line.text.size() <= *settings_->longer_than) return false;
    if (settings_->older_than_ns && line.time >= context_.wall() - *settings_->older_than_ns) return false;
    if (!settings_->has_source)
      return settings_->regex == nullptr || re2::RE2::PartialMatch(line.text, *settings_->regex);
    if (settings_->regex == nullptr)
      return std::ranges::all_of(settings_->sources, [&](const auto& name) { return line.fields.has(name); });
    std::string joined, scratch;
    bool any = false;
    for (const auto& name : settings_->sources) {
      if (!line.fields.has(name)) continue;
      const auto value = line.fields.text(name, scratch);
      if (!value) return false;
      if (any) joined += settings_->separator;
      any = true;
      joined += *value;
    }
    return re2::RE2::PartialMatch(joined, *settings_->regex);
  }

  std::shared_ptr<const DropSettings> settings_;
  const StageContext& context_;
};

Result<StageFactory> parse_drop(const YAML::Node& name, const YAML::Node& config, const std::string& file) {
  yaml::Fields fields(config, file);
  TRY(fields.open());
  auto settings = std::make_shared<DropSettings>();
  settings->has_source = fields.has("source");
  TRY(fields.read("source", settings->sources));
  TRY(fields.read("separator", settings->separator));
  std::string reason, value, longer;
  TRY(fields.read("drop_counter_reason", reason));
  if (!reason.empty()) settings->reason = reason;
  settings->older_than_ns = TRY(read_go_duration(fields, "older_than"));
  if (fields.has("longer_than")) {
    TRY(fields.read("longer_than", longer));
    // Sizes count in powers of two here, whatever their unit is called.
    std::string text = to_lower(longer);
    if (text.ends_with("b") && text.size() > 1 && text.find("ib") == std::string::npos) {
      const char unit = text[text.size() - 2];
      if (unit == 'k' || unit == 'm' || unit == 'g' || unit == 't') text.insert(text.size() - 1, "i");
    }
    auto bytes = parse_bytes(text);
    if (!bytes) return std::unexpected(fields.error("longer_than", bytes.error().message));
    settings->longer_than = *bytes;
  }
  const bool has_value = fields.has("value"), has_expression = fields.has("expression");
  TRY(fields.read("value", value));
  if (has_value && !settings->has_source) return std::unexpected(fields.error("value", "needs source"));
  if (has_value && has_expression)
    return std::unexpected(fields.error("value", "value and expression are two ways to say one thing"));
  if (has_expression) settings->regex = TRY(read_regex(fields, "expression"));
  if (has_value) {
    std::string error;
    settings->regex = compile_regex("^" + re2::RE2::QuoteMeta(value) + "$", error);
  }
  TRY(fields.finish());
  if (!settings->has_source && !has_expression && !settings->older_than_ns && !settings->longer_than)
    return stage_error(name, file, "drop: one of source, expression, older_than and longer_than is needed");
  return [settings](const StageContext& context) -> std::unique_ptr<Stage> {
    return std::make_unique<DropStage>(settings, context);
  };
}

// ---- sampling

class SamplingStage final : public PlainStage {
 public:
  SamplingStage(double rate, std::string reason, const StageContext& context)
      : rate_(rate), reason_(std::move(reason)), context_(context), random_(context.clocks.seed) {}

 protected:
  bool work(LogLine&) override {
    if (rate_ >= 1 || std::uniform_real_distribution<double>(0, 1)(random_) < rate_) return true;
    context_.dropped(reason_);
    return false;
  }

 private:
  double rate_;
  std::string reason_;
  const StageContext& context_;
  std::mt19937_64 random_;
};

Result<StageFactory> parse_sampling(const YAML::Node&, const YAML::Node& config, const std::string& file) {
  yaml::Fields fields(config, file);
  TRY(fields.open());
  double rate = 0;
  std::string reason;
  TRY(fields.read("rate", rate));
  TRY(fields.read("drop_counter_reason", reason));
  TRY(fields.finish());
  if (!(rate >= 0 && rate <= 1)) return std::unexpected(fields.error("rate", "must lie between 0 and 1"));
  if (reason.empty()) reason = "sampling_stage";
  return [rate, reason](const StageContext& context) -> std::unique_ptr<Stage> {
    return std::make_unique<SamplingStage>(rate, reason, context);
  };
}

// ---- limit: so many lines a second; others are left out, or wait

struct LimitSettings {
  double rate = 0;
  std::int64_t burst = 0, max_distinct_labels = 10'000;
  bool drop = false;
  std::string by_label_name;
};

class LimitStage final : public Stage {
 public:
  LimitStage(LimitSettings settings, const StageContext& context) : settings_(std::move(settings)), context_(context) {}

  void take(LogLine line) override {
    if (!settings_.by_label_name.empty()) {
      const std::string value(line.labels->get(settings_.by_label_name));
      if (value.empty() || bucket_of(value).allow(settings_, context_.steady())) return pass(std::move(line));
      context_.registry
          .counter("logentry_dropped_lines_by_label_total", "Lines that a limit by label left out.",
                   {{"label_name", settings_.by_label_name}, {"label_value", value}})
          .add();
      return context_.dropped("ratelimit_drop_stage");
    }
    if (waiting_.empty() && all_.allow(settings_, context_.steady())) return pass(std::move(line));
    if (settings_.drop) return context_.dropped("ratelimit_drop_stage");
    waiting_.push_back(std::move(line));
  }
  void expire() override {
    while (!waiting_.empty() && all_.allow(settings_, context_.steady())) {
      LogLine line = std::move(waiting_.front());
      waiting_.pop_front();
      pass(std::move(line));
    }
  }
  void flush() override {
    while (!waiting_.empty()) {
      LogLine line = std::move(waiting_.front());
      waiting_.pop_front();
      pass(std::move(line));
    }
  }
  void held(std::map<std::uint32_t, std::uint64_t>& first) const override {
    for (const auto& line : waiting_) note_held(first, line.origin);
  }
  bool full() const override { return !waiting_.empty(); }

 private:
  // A token bucket; begins full.
  struct Bucket {
    double tokens = -1;
    Steady::time_point at{};
    bool allow(const LimitSettings& settings, Steady::time_point now) {
      const auto burst = static_cast<double>(settings.burst);
      tokens = tokens < 0 ? burst
                          : std::min(burst, tokens + std::chrono::duration<double>(now - at).count() * settings.rate);
      at = now;
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    }
  };
  Bucket& bucket_of(const std::string& value) {
    if (const auto found = buckets_.find(value); found != buckets_.end()) return found->second;
    // The older half goes when there are too many: those used since come back from it.
    if (static_cast<std::int64_t>(buckets_.size()) >= settings_.max_distinct_labels) {
      former_ = std::move(buckets_);
      buckets_.clear();
    }
    if (const auto found = former_.find(value); found != former_.end()) return buckets_[value] = found->second;
    return buckets_[value];
  }

  LimitSettings settings_;
  const StageContext& context_;
  Bucket all_;
  std::unordered_map<std::string, Bucket> buckets_, former_;
  std::deque<LogLine> waiting_;
};

Result<StageFactory> parse_limit(const YAML::Node&, const YAML::Node& config, const std::string& file) {
  yaml::Fields fields(config, file);
  TRY(fields.open());
  LimitSettings settings;
  TRY(fields.read("rate", settings.rate));
  TRY(fields.read("burst", settings.burst));
  TRY(fields.read("drop", settings.drop));
  TRY(fields.read("by_label_name", settings.by_label_name));
  TRY(fields.read("max_distinct_labels", settings.max_distinct_labels));
  TRY(fields.finish());
  if (!(settings.rate > 0)) return std::unexpected(fields.error("rate", "must be greater than 0"));
  if (settings.burst <= 0) return std::unexpected(fields.error("burst", "must be greater than 0"));
  if (!settings.by_label_name.empty() && !settings.drop)
    return std::unexpected(fields.error("by_label_name", "needs drop: true"));
  settings.max_distinct_labels = std::max<std::int64_t>(settings.max_distinct_labels, 10'000);
  return [settings](const StageContext& context) -> std::unique_ptr<Stage> {
    return std::make_unique<LimitStage>(settings, context);
  };
}

// ---- multiline: lines up to the next first line become one

struct MultilineSettings {
  std::shared_ptr<const re2::RE2> first_line;
  std::int64_t max_lines = 128;
  std::int64_t max_wait_ns = 3'000'000'000;
};

class MultilineStage final : public Stage {
 public:
  MultilineStage(std::shared_ptr<const MultilineSettings> settings, const StageContext& context)
      : settings_(std::move(settings)), context_(context) {}

  void take(LogLine line) override {
    const bool first = re2::RE2::PartialMatch(line.text, *settings_->first_line);
    const auto key = line.labels->hash();
    auto found = blocks_.find(key);
    if (found == blocks_.end()) {
      // Until the first first line of a stream everything goes on as it is.
      if (!first) return pass(std::move(line));
      found = blocks_.try_emplace(key).first;
    }
    Block& block = found->second;
    block.at = context_.steady();
    if (first) {
      let_go(block);
      block.line = std::move(line);
      block.lines = 1;
      block.start = block.line;  // what a block that begins without a first line takes its labels and time from
      block.start.text.clear();
    } else {
      if (block.lines == 0) {
        block.line = block.start;
        block.line.origin = line.origin;
        block.line.text = std::move(line.text);
      } else {
        if (!block.line.text.empty()) block.line.text += '\n';
        block.line.text += line.text;
        block.line.origin.end = std::max(block.line.origin.end, line.origin.end);
      }
      ++block.lines;
    }
    if (block.lines == settings_->max_lines) let_go(block);
  }
  void expire() override {
    const auto now = context_.steady();
    for (auto& [key, block] : blocks_) {
      if (block.lines > 0 && now - block.at >= std::chrono::nanoseconds(settings_->max_wait_ns)) let_go(block);
    }
    // Streams that ended long ago are forgotten.
    if (blocks_.size() > kMaxIdle) {
      std::erase_if(blocks_, [&](const auto& entry) {
        return entry.second.lines == 0 && now - entry.second.at > std::chrono::minutes(10);
      });
    }
  }
  void flush() override {
    for (auto& [key, block] : blocks_) let_go(block);
  }
  void held(std::map<std::uint32_t, std::uint64_t>& first) const override {
    for (const auto& [key, block] : blocks_) {
      if (block.lines > 0) note_held(first, block.line.origin);
    }
  }

 private:
  static constexpr std::size_t kMaxIdle = 1000;
  struct Block {
    LogLine line;   // so far
    LogLine start;  // without its text
    std::int64_t lines = 0;
    Steady::time_point at{};
  };
  void let_go(Block& block) {
    if (block.lines == 0) return;
    block.lines = 0;
    // A block of empty lines only is nothing.
    if (!block.line.text.empty()) pass(std::move(block.line));
    block.line = {};
  }

  std::shared_ptr<const MultilineSettings> settings_;
  const StageContext& context_;
  std::unordered_map<std::uint64_t, Block> blocks_;  // by the hash of the labels
};

Result<StageFactory> parse_multiline(const YAML::Node& name, const YAML::Node& config, const std::string& file) {
  yaml::Fields fields(config, file);
  TRY(fields.open());
  auto settings = std::make_shared<MultilineSettings>();
  if (!fields.has("firstline")) return stage_error(name, file, "multiline: firstline is missing");
  settings->first_line = TRY(read_regex(fields, "firstline"));
  TRY(fields.read("max_lines", settings->max_lines));
  if (const auto wait = TRY(read_go_duration(fields, "max_wait_time"))) settings->max_wait_ns = *wait;
  TRY(fields.finish());
  if (settings->max_lines < 1) return std::unexpected(fields.error("max_lines", "must be at least 1"));
  return [settings](const StageContext& context) -> std::unique_ptr<Stage> {
    return std::make_unique<MultilineStage>(settings, context);
  };
}

}  // namespace

const std::map<std::string, StageParser, std::less<>>& flow_stages() {
  static const std::map<std::string, StageParser, std::less<>> table = {
      {"match", parse_match},   {"drop", parse_drop},           {"sampling", parse_sampling},
      {"limit", parse_limit},   {"multiline", parse_multiline}, {"docker", parse_docker_stage},
      {"cri", parse_cri_stage},
  };
  return table;
}

}  // namespace tocayo::agent
