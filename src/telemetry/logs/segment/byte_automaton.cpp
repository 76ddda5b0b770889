// SPDX-License-Identifier: Apache-2.0
#include "logs/segment/byte_automaton.h"

#include <algorithm>
#include <bitset>
#include <map>

#include "logs/segment/regex_tree.h"

namespace tocayo::logs {

namespace {

using Set = std::bitset<256>;
using Kind = RegexNode::Kind;

constexpr std::size_t kMostPlaces = 2000;   // of the automaton that may be in several at once
constexpr std::size_t kMostStates = 1024;   // of the one that is in one
constexpr std::size_t kMostWork = 4000000;  // steps to make it

bool word_byte(int c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

// One step of the expression: takes a byte of a set, or goes on without one (to one or two places, perhaps under a
// condition).
struct Place {
  enum class What : std::uint8_t { take, go, condition, found };
  What what = What::go;
  Kind condition = Kind::empty;
  std::uint32_t set = 0;
  std::uint32_t next = 0;
  std::uint32_t other = 0;  // go: the second way; equal to next when there is none
};

// Builds places from the end to the front.
class Places {
 public:
  std::vector<Place> all;
  std::vector<Set> sets;
  bool failed = false;

  std::uint32_t add(Place place) {
    if (all.size() >= kMostPlaces) failed = true;
    if (failed) return 0;
    all.push_back(place);
    return static_cast<std::uint32_t>(all.size() - 1);
  }
  std::uint32_t take(const Set& set, std::uint32_t next) {
    auto known = std::ranges::find(sets, set);
    const auto number = static_cast<std::uint32_t>(known - sets.begin());
    if (known == sets.end()) sets.push_back(set);
    return add({.what = Place::What::take, .set = number, .next = next});
  }
  std::uint32_t either(std::uint32_t a, std::uint32_t b) {
    return add({.what = Place::What::go, .next = a, .other = b});
  }

  // A character outside ASCII in valid UTF-8.
  std::uint32_t rune(std::uint32_t next) {
    auto range = [](int low, int high) {
      Set set;
      for (int c = low; c <= high; ++c) set.set(static_cast<std::size_t>(c));
      return set;
    };
    const Set tail = range(0x80, 0xBF);
    const auto one = take(tail, next);
    const auto two = take(tail, one);
    const auto three = take(tail, two);
    return either(take(range(0xC2, 0xDF), one), either(take(range(0xE0, 0xEF), two), take(range(0xF0, 0xF4), three)));
  }

  std::uint32_t build(const RegexTree& tree, std::uint32_t index, std::uint32_t next) {
    if (failed) return 0;
    const auto& node = tree.nodes[index];
    switch (node.kind) {
      case Kind::empty: return next;
      case Kind::bytes: return take(node.set, next);
      case Kind::rune: return rune(next);
      case Kind::sequence:
        for (auto child = node.children.rbegin(); child != node.children.rend(); ++child)
          next = build(tree, *child, next);
        return next;
      case Kind::choice: {
        auto way = build(tree, node.children.back(), next);
        for (std::size_t i = node.children.size() - 1; i-- > 0;) way = either(build(tree, node.children[i], next), way);
        return way;
      }
      case Kind::repeat: {
        const auto child = node.children[0];
        if (node.most < 0) {
          const auto loop = either(next, next);
          if (failed) return 0;
          const auto body = build(tree, child, loop);
          all[loop].next = body;
          next = loop;
        } else {
          const auto end = next;
          for (int i = node.least; i < node.most && !failed; ++i) next = either(build(tree, child, next), end);
        }
        for (int i = 0; i < node.least && !failed; ++i) next = build(tree, child, next);
        return next;
      }
      default: return add({.what = Place::What::condition, .condition = node.kind, .next = next});
    }
  }
};

enum class Side : std::uint8_t { edge, newline, word, other };
Side side_of(int c) { return c == '\n' ? Side::newline : word_byte(c) ? Side::word : Side::other; }

bool holds(Kind condition, Side before, Side after) {
  switch (condition) {
    case Kind::begin_text: return before == Side::edge;
    case Kind::end_text: return after == Side::edge;
    case Kind::begin_line: return before == Side::edge || before == Side::newline;
    case Kind::end_line: return after == Side::edge || after == Side::newline;
    case Kind::word: return (before == Side::word) != (after == Side::word);
    case Kind::not_word: return (before == Side::word) == (after == Side::word);
    default: return true;
  }
}

}  // namespace

std::optional<ByteAutomaton> ByteAutomaton::compile(std::span<const std::string> regexes) {
  Places places;
  const auto found = places.add({.what = Place::What::found});
  std::optional<std::uint32_t> first;
  for (const auto& regex : regexes) {
    const auto tree = parse_regex(regex);
    if (!tree) return std::nullopt;
    const auto begin = places.build(*tree, tree->root, found);
    first = first ? places.either(begin, *first) : begin;
  }
  if (places.failed || !first) return std::nullopt;
  const bool conditions =
      std::ranges::any_of(places.all, [](const Place& place) { return place.what == Place::What::condition; });

  // Bytes that no set and no condition tells apart are one class.
  ByteAutomaton out;
  std::map<std::vector<bool>, std::uint8_t> classes;
  std::vector<int> member;  // a byte of each class
  for (int c = 0; c < 256; ++c) {
    std::vector<bool> signature;
    for (const auto& set : places.sets) signature.push_back(set[static_cast<std::size_t>(c)]);
    if (conditions) {
      signature.push_back(c == '\n');
      signature.push_back(word_byte(c));
    }
    const auto [at, added] = classes.emplace(std::move(signature), static_cast<std::uint8_t>(classes.size()));
    if (added) member.push_back(c);
    out.class_of_[static_cast<std::size_t>(c)] = at->second;
  }
  out.classes_ = member.size();

  std::size_t work = 0;
  std::vector<bool> seen(places.all.size());
  std::vector<std::uint32_t> reached;  // that take a byte
  // Follows what needs no byte; `after` nullopt: conditions on what comes do not hold yet. True when found.
  auto close = [&](std::span<const std::uint32_t> from, Side before, std::optional<Side> after) {
    seen.assign(seen.size(), false);
    reached.clear();
    std::vector<std::uint32_t> open(from.begin(), from.end());
    while (!open.empty()) {
      const auto at = open.back();
      open.pop_back();
      ++work;
      if (seen[at]) continue;
      seen[at] = true;
      const auto& place = places.all[at];
      switch (place.what) {
        case Place::What::found: return true;
        case Place::What::take: reached.push_back(at); break;
        case Place::What::condition: {
          const bool backwards = place.condition == Kind::begin_text || place.condition == Kind::begin_line;
          if ((after || backwards) && holds(place.condition, before, after.value_or(Side::other)))
            open.push_back(place.next);
          break;
        }
        case Place::What::go:
          open.push_back(place.other);
          open.push_back(place.next);
          break;
      }
    }
    return false;
  };

  // A state: the places one may be in before what needs no byte is followed, and what kind of byte came last. The first
  // place is always among them, since a match may begin anywhere.
  using Key = std::pair<std::vector<std::uint32_t>, Side>;
  std::map<Key, State> known;
  std::vector<Key> keys;
  auto state_of = [&](std::vector<std::uint32_t> in, Side before) -> State {
    std::ranges::sort(in);
    const auto repeated = std::ranges::unique(in);
    in.erase(repeated.begin(), repeated.end());
    if (close(in, before, std::nullopt)) return kFound;
    if (!conditions) before = Side::other;
    auto [at, added] = known.emplace(Key{std::move(in), before}, static_cast<State>(keys.size()));
    if (added) keys.push_back(at->first);
    return at->second;
  };
  keys.emplace_back();  // kFound
  out.next_.assign(out.classes_, kFound);
  out.at_end_.push_back(true);
  out.start_ = state_of({*first}, Side::edge);
  for (std::size_t s = 1; s < keys.size(); ++s) {
    if (keys.size() > kMostStates || work > kMostWork) return std::nullopt;
    const auto [in, before] = keys[s];
    out.at_end_.push_back(close(in, before, Side::edge));
    for (std::size_t k = 0; k < out.classes_; ++k) {
      const auto byte = static_cast<std::size_t>(member[k]);
      const auto after = side_of(member[k]);
      if (close(in, before, after)) {
        out.next_.push_back(kFound);
        continue;
      }
      std::vector<std::uint32_t> to{*first};
      for (auto at : reached) {
        if (places.sets[places.all[at].set][byte]) to.push_back(places.all[at].next);
      }
      out.next_.push_back(state_of(std::move(to), after));
    }
  }
  return out;
}

}  // namespace tocayo::logs
