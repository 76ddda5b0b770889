// SPDX-License-Identifier: Apache-2.0
#include "logql/engine/column_plan.h"

#include <fmt/format.h>

#include <algorithm>

namespace tocayo::logql::detail {

namespace {

constexpr std::string_view kExtracted = "_extracted";

bool is_error_name(std::string_view name) { return name == kErrorLabel || name == kErrorDetailsLabel; }

void add_names(const LabelFilter& filter, std::vector<std::string>& names) {
  if (!filter.name.empty()) names.push_back(filter.name);
  for (const LabelFilter& operand : filter.operands) add_names(operand, names);
}

// A clash renames: `x_extracted` is made of what `x` is made of.
void add_sources(std::vector<std::string>& names) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i].ends_with(kExtracted)) names.push_back(names[i].substr(0, names[i].size() - kExtracted.size()));
  }
  std::erase_if(names, is_error_name);
  std::ranges::sort(names);
  const auto repeated = std::ranges::unique(names);
  names.erase(repeated.begin(), repeated.end());
}

// Where one is in a quoted string.
struct Escapes {
  bool begun = false;  // behind a backslash
  int digits = 0;      // of \u that are still to come
  // Takes the next byte; true when it is the closing quote.
  bool ends(char c) {
    if (begun) {
      begun = false;
      digits = c == 'u' ? 4 : 0;
      return false;
    }
    if (digits > 0) --digits;
    begun = c == '\\';
    return c == '"';
  }
  // Whether a slot stands in the middle of an escape.
  bool cut() {
    const bool inside = begun || digits > 0;
    *this = {};
    return inside;
  }
};

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

}  // namespace

bool ColumnPlan::counts(std::string_view name) const {
  return all_names || name == value_name || std::ranges::binary_search(names, name);
}

std::optional<ColumnPlan> plan_columns(std::span<const Stage> stages, const PipelineOptions& options) {
  ColumnPlan plan;
  const Stage* parser = nullptr;
  for (const Stage& stage : stages) {
    if (const auto* filter = std::get_if<LabelFilterStage>(&stage.node)) {
      add_names(filter->filter, plan.names);
    } else if (const auto* drop = std::get_if<DropStage>(&stage.node)) {
      for (const NamedMatcher& item : drop->labels) plan.names.push_back(item.name);
    } else if (const auto* keep = std::get_if<KeepStage>(&stage.node)) {
      for (const NamedMatcher& item : keep->labels) plan.names.push_back(item.name);
    } else if (const auto* json = std::get_if<JsonStage>(&stage.node); json != nullptr && parser == nullptr) {
      parser = &stage;
      plan.parser = ColumnPlan::Parser::json;
    } else if (const auto* logfmt = std::get_if<LogfmtStage>(&stage.node); logfmt != nullptr && parser == nullptr) {
      parser = &stage;
      plan.parser = ColumnPlan::Parser::logfmt;
      plan.keeps_empty = logfmt->keep_empty;
    } else {
      return std::nullopt;
    }
  }
  plan.all_names = !options.grouping || options.grouping->without;
  if (plan.all_names && parser != nullptr) return std::nullopt;
  if (options.grouping) {
    for (const std::string& name : options.grouping->labels) plan.names.push_back(name);
  }
  if (options.unwrap != nullptr) {
    for (const LabelFilter& filter : options.unwrap->filters) add_names(filter, plan.names);
    plan.conversion = options.unwrap->conversion;
    add_sources(plan.names);
    if (plan.counts(options.unwrap->label)) {
      if (!plan.all_names) plan.names.push_back(options.unwrap->label);
    } else {
      plan.value_name = options.unwrap->label;
    }
    // A renamed one may be the other's.
    if (plan.value_name.ends_with(kExtracted)) plan.names.push_back(std::exchange(plan.value_name, {}));
  }
  add_sources(plan.names);
  if (parser != nullptr) {
    auto probe = Pipeline::compile({parser, 1}, {.hints = false});
    if (!probe) return std::nullopt;
    plan.probe = std::move(*probe);
  }
  return plan;
}

// False: a stand-in could be taken for constant text.
bool TemplateReader::place_slots(const logs::TemplateFacts& facts) {
  line_.clear();
  slot_at_.clear();
  stand_ins_.clear();
  structural_.assign(facts.slots.size(), 0);
  if (facts.slots.size() > 9'999 || facts.constants.size() != facts.slots.size() + 1) return false;
  for (std::size_t i = 0; i <= facts.slots.size(); ++i) {
    line_.append(facts.constants[i]);
    slot_at_.resize(line_.size(), -1);
    if (i == facts.slots.size()) break;
    stand_ins_.push_back(fmt::format("70{:04}17", i));
    line_.append(stand_ins_.back());
    slot_at_.resize(line_.size(), static_cast<std::int32_t>(i));
  }
  return std::ranges::none_of(facts.constants, [](std::string_view text) {
    for (std::size_t at = text.find("70"); at != std::string_view::npos; at = text.find("70", at + 1)) {
      if (text.substr(at).size() >= 8 && text.substr(at + 6, 2) == "17") return true;
    }
    return false;
  });
}

// False: a slot is (part of) a key, so that the labels' names vary.
bool TemplateReader::judge_json(const logs::TemplateFacts& facts) {
  bool in_string = false;
  Escapes escapes;
  std::vector<std::size_t> of_string;  // slots of the string that is open, or was closed last
  bool closed = false;                 // and nothing but white space came since
  for (std::size_t at = 0; at < line_.size(); ++at) {
    const std::int32_t slot = slot_at_[at];
    if (slot < 0) {
      const char c = line_[at];
      if (in_string) {
        closed = escapes.ends(c);
        in_string = !closed;
      } else if (c == '"') {
        in_string = true;
        escapes = {};
        closed = false;
        of_string.clear();
      } else if (!is_space(c)) {
        if (c == ':' && closed && !of_string.empty()) return false;
        closed = false;
      }
      continue;
    }
    const auto number = static_cast<std::size_t>(slot);
    const logs::SlotFacts& fact = facts.slots[number];
    const std::size_t end = at + stand_ins_[number].size();
    if (in_string) {
      of_string.push_back(number);
      structural_[number] = escapes.cut() || !fact.quoted;
    } else {
      const char before = at == 0 ? '\0' : line_[at - 1];
      const char after = end == line_.size() ? '\0' : line_[end];
      const bool alone = (is_space(before) || before == ':' || before == ',' || before == '[') &&
                         (is_space(after) || after == ',' || after == '}' || after == ']');
      structural_[number] = !fact.number || !alone || slot_at_[at - 1] >= 0;
      closed = false;
    }
    at = end - 1;
  }
  return true;
}

bool TemplateReader::judge_logfmt(const logs::TemplateFacts& facts) {
  enum class Place : unsigned char { key, value_begins, bare, quoted } place = Place::key;
  Escapes escapes;
  bool slot_in_key = false;
  for (std::size_t at = 0; at < line_.size(); ++at) {
    const std::int32_t slot = slot_at_[at];
    if (slot >= 0) {
      const auto number = static_cast<std::size_t>(slot);
      const logs::SlotFacts& fact = facts.slots[number];
      switch (place) {
        case Place::key:
          slot_in_key = true;
          structural_[number] = !fact.word;
          break;
        case Place::value_begins:
        case Place::bare:
          place = Place::bare;
          structural_[number] = !fact.word;
          break;
        case Place::quoted: structural_[number] = escapes.cut() || !fact.quoted; break;
      }
      at += stand_ins_[number].size() - 1;
      continue;
    }
    const char c = line_[at];
    if (place == Place::quoted) {
      if (escapes.ends(c)) {  // the next key may follow at once
        place = Place::key;
        slot_in_key = false;
      }
      continue;
    }
    if (static_cast<unsigned char>(c) <= ' ') {
      if (place == Place::key && slot_in_key && plan_.keeps_empty) return false;
      place = Place::key;
      slot_in_key = false;
    } else if (place == Place::key && c == '=') {
      if (slot_in_key) return false;
      place = Place::value_begins;
    } else if (place == Place::value_begins) {
      place = c == '"' ? Place::quoted : Place::bare;
      escapes = {};
    }
  }
  return !(place == Place::key && slot_in_key && plan_.keeps_empty);
}

TemplatePlan TemplateReader::read(const logs::TemplateFacts& facts) {
  TemplatePlan plan;
  if (!place_slots(facts)) return plan;
  if (!(plan_.parser == ColumnPlan::Parser::json ? judge_json(facts) : judge_logfmt(facts))) return plan;
  static const Labels kNoLabels;
  probe_.set_stream(kNoLabels);
  if (!probe_.process(0, line_, {})) return plan;
  const auto result = probe_.labels();
  probe_.forget();
  std::vector<std::uint8_t> counts = structural_;
  const auto slots_of = [&](std::string_view text) {
    std::vector<std::uint32_t> slots;
    for (std::uint32_t i = 0; i < stand_ins_.size(); ++i) {
      if (text.find(stand_ins_[i]) != std::string_view::npos) slots.push_back(i);
    }
    return slots;
  };
  for (const Label& label : result->parsed) {
    if (is_error_name(label.name)) continue;
    if (!slots_of(label.name).empty()) return plan;
    if (!plan_.counts(label.name)) continue;
    const auto slots = slots_of(label.value);
    if (label.name == plan_.value_name && slots.size() == 1 && structural_[slots[0]] == 0) {
      const std::string& stand_in = stand_ins_[slots[0]];
      const std::size_t at = label.value.find(stand_in);
      if (label.value.find(stand_in, at + 1) == std::string::npos) {
        plan.value = TemplatePlan::Value{
            .slot = slots[0], .prefix = label.value.substr(0, at), .suffix = label.value.substr(at + stand_in.size())};
        continue;
      }
    }
    for (const std::uint32_t slot : slots) counts[slot] = 1;
  }
  for (std::uint32_t i = 0; i < counts.size(); ++i) {
    if (counts[i] != 0) plan.slots.push_back(i);
  }
  plan.possible = true;
  return plan;
}

}  // namespace tocayo::logql::detail
