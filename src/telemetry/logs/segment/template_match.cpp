// SPDX-License-Identifier: Apache-2.0
#include "logs/segment/template_match.h"

#include <algorithm>

#include "core/labels.h"
#include "logs/segment/time_layout.h"

namespace tocayo::logs {

namespace {

constexpr std::size_t kMostWork = 500000;
constexpr std::size_t kBatch = 4096;

// Bytes that may occur in a slot; false when some outside ASCII may.
bool bytes_of(const SlotKind& kind, const format::Column& column, std::vector<bool>& out) {
  out.assign(128, false);
  auto range = [&](char low, char high) {
    for (char c = low; c <= high; ++c) out[static_cast<std::size_t>(c)] = true;
  };
  const auto mask = column.mask;
  if (kind.family == SlotKind::Family::token) {
    if ((mask & format::kMaskOther) != 0) return false;
  } else {
    for (char c : {' ', ':', '/', ',', '-', '.', 'T'}) range(c, c);
  }
  if ((mask & format::kMaskDigit) != 0) range('0', '9');
  if ((mask & format::kMaskLowerHex) != 0) range('a', 'f');
  if ((mask & format::kMaskLower) != 0) range('g', 'z');
  if ((mask & format::kMaskUpperHex) != 0) range('A', 'F');
  if ((mask & format::kMaskUpper) != 0) range('G', 'Z');
  if ((mask & format::kMaskPoint) != 0) range('.', '.');
  if ((mask & format::kMaskSign) != 0) {
    for (char c : {'+', '-', '_'}) range(c, c);
  }
  return true;
}

// The bytes at each place of a date and time; empty for other slots.
std::vector<std::string_view> places_of(const SlotKind& kind) {
  constexpr std::string_view kDigits = "0123456789";
  constexpr std::string_view kBetween = " ,-./:T_";  // what layouts have beside letters that stand for something
  std::vector<std::string_view> out;
  const auto digits = [&](std::size_t n) { out.insert(out.end(), n, kDigits); };
  const TimeLayout layout = layout_of(kind);
  for (const char c : layout.view()) {
    switch (c) {
      case 'Y': digits(4); break;
      case 'b':
        for (std::string_view letters : {"JFMASOND", "aepuco", "nbrylgptvc"}) out.push_back(letters);
        break;
      case 'e':
        out.emplace_back(" 0123456789");
        digits(1);
        break;
      case 'F':
        if (kind.fraction_digits == 0) break;
        out.emplace_back(".,:");
        digits(kind.fraction_digits);
        break;
      default:
        if (const auto at = kBetween.find(c); at != std::string_view::npos) {
          out.push_back(kBetween.substr(at, 1));
        } else {
          digits(2);
        }
        break;
    }
  }
  return out;
}

}  // namespace

TemplateMatch::TemplateMatch(const ByteAutomaton& automaton, GroupRows& rows, std::uint32_t local)
    : automaton_(automaton), rows_(rows), local_(local), shape_(rows.shape(local)) {
  if (!read_slots()) return;
  first_ = automaton_.run(automaton_.start(), shape_.constants[0]);
  const auto fates = fate(0, first_);
  if (work_ > kMostWork) return;
  verdict_ = fates == kFinds ? Verdict::all : fates == kFails ? Verdict::none : Verdict::rows;
}

bool TemplateMatch::read_slots() {
  for (auto text : shape_.constants) {
    if (!is_valid_utf8(text)) return false;
  }
  const auto& view = rows_.view();
  slots_.resize(shape_.slots.size());
  std::vector<bool> bytes;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const auto& column = view.columns[view.templates[local_].column + i];
    if (!bytes_of(shape_.slots[i], column, bytes)) return false;
    auto& slot = slots_[i];
    slot.classes.assign(automaton_.classes(), false);
    for (std::size_t c = 0; c < bytes.size(); ++c) {
      if (bytes[c]) slot.classes[automaton_.class_of(static_cast<unsigned char>(c))] = true;
    }
    for (auto allowed : places_of(shape_.slots[i])) {
      auto& classes = slot.layout.emplace_back(automaton_.classes(), false);
      for (char c : allowed) classes[automaton_.class_of(static_cast<unsigned char>(c))] = true;
    }
    slot.least = column.min_length;
    slot.most = column.max_length;
    slot.steps.resize(automaton_.states());
    slot.over.assign(automaton_.states(), -1);
  }
  return true;
}

TemplateMatch::State TemplateMatch::over_constant(std::size_t slot, State state) {
  auto& known = slots_[slot].over[state];
  if (known < 0) known = automaton_.run(state, shape_.constants[slot + 1]);
  return static_cast<State>(known);
}

// What can become of a line that stands before `slot` in `state`.
std::uint8_t TemplateMatch::fate(std::size_t index, State state) {
  if (state == ByteAutomaton::kFound) return kFinds;
  if (index == slots_.size()) return automaton_.found_at_end(state) ? kFinds : kFails;
  auto& step = slots_[index].steps[state];
  if (step.fate != 0) return step.fate;
  if (work_ > kMostWork) return kFinds | kFails;
  // The states that values of the allowed bytes and lengths lead to.
  const auto& slot = slots_[index];
  std::vector<char> at(automaton_.states());
  std::vector<State> outs;
  auto step_all = [&](const std::vector<State>& front, const std::vector<bool>& classes) {
    std::vector<State> next;
    for (auto from : front) {
      for (std::size_t c = 0; c < classes.size(); ++c) {
        if (!classes[c]) continue;
        ++work_;
        const auto to = automaton_.next_of_class(from, c);
        if (at[to] != 0) continue;
        at[to] = 1;
        next.push_back(to);
      }
    }
    return next;
  };
  if (!slot.layout.empty()) {
    outs.push_back(state);
    for (const auto& classes : slot.layout) {
      std::ranges::fill(at, 0);
      outs = step_all(outs, classes);
    }
  } else {
    // By rounds of one byte; a state that came up before adds nothing new later on.
    if (slot.least == 0) outs.push_back(state);
    std::vector<State> front{state};
    for (std::size_t length = 1; length <= slot.most && !front.empty(); ++length) {
      front = step_all(front, slot.classes);
      outs.insert(outs.end(), front.begin(), front.end());
    }
  }
  std::ranges::sort(outs);
  const auto repeated = std::ranges::unique(outs);
  outs.erase(repeated.begin(), repeated.end());
  std::uint8_t fates = 0;
  for (auto to : outs) {
    if (work_ > kMostWork) return kFinds | kFails;
    fates |= fate(index + 1, over_constant(index, to));
  }
  if (outs.empty()) fates = kFinds | kFails;  // a record that contradicts itself
  step.fixed = outs.size() == 1;
  step.next = outs.empty() ? state : outs.front();
  step.fate = fates;
  return fates;
}

Result<> TemplateMatch::evaluate(const RowSet& within, RowSet& found, const Context& context) {
  const auto group_rows = TRY(rows_.rows_of(local_));
  std::vector<std::uint32_t> live;
  live.reserve(group_rows.size());
  for (std::uint32_t place = 0; place < group_rows.size(); ++place) {
    if (within.has(group_rows[place])) live.push_back(place);
  }
  std::vector<State> states(live.size(), first_);  // of live[k]
  std::span<const std::int64_t> group_times;
  std::vector<TimestampNs> times;
  std::string arena;
  std::vector<std::string_view> texts;
  std::vector<int> known;
  for (std::size_t i = 0; i < slots_.size() && !live.empty(); ++i) {
    TRY(context.check());
    auto& slot = slots_[i];
    const bool needed = std::ranges::any_of(states, [&](State state) { return !slot.steps[state].fixed; });
    const DecodedColumn* column = nullptr;
    bool by_value = false;
    bool timed = false;
    if (needed) {
      column = TRY(rows_.slot(local_, static_cast<std::uint32_t>(i)));
      // What a value of the dictionary makes of a state is worked out once.
      by_value = !column->values().empty() && automaton_.states() * column->values().size() <= (1U << 20);
      if (by_value) known.assign(automaton_.states() * column->values().size(), -1);
      timed = needs_times(rows_.view().columns[rows_.view().templates[local_].column + i].type);
      if (timed) group_times = TRY(rows_.times());
    }
    std::size_t kept = 0;
    for (std::size_t begin = 0; begin < live.size(); begin += kBatch) {
      const auto end = std::min(begin + kBatch, live.size());
      if (needed && !by_value) {
        times.clear();
        if (timed) {
          for (std::size_t k = begin; k < end; ++k) times.push_back(group_times[group_rows[live[k]]]);
        }
        column->texts(std::span(live).subspan(begin, end - begin), times, arena, texts);
      }
      for (std::size_t k = begin; k < end; ++k) {
        auto state = states[k];
        const auto& step = slot.steps[state];
        if (step.fixed) {
          state = step.next;
        } else if (by_value) {
          const auto value = column->numbers()[live[k]];
          auto& next = known[state * column->values().size() + static_cast<std::size_t>(value)];
          if (next < 0) next = automaton_.run(state, column->values()[static_cast<std::size_t>(value)]);
          state = static_cast<State>(next);
        } else {
          state = automaton_.run(state, texts[k - begin]);
        }
        state = over_constant(i, state);
        const auto fates = fate(i + 1, state);
        if (fates == kFinds) {
          found.add(group_rows[live[k]]);
        } else if (fates != kFails) {
          live[kept] = live[k];
          states[kept++] = state;
        }
      }
    }
    live.resize(kept);
    states.resize(kept);
  }
  return {};
}

}  // namespace tocayo::logs
