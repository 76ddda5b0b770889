// SPDX-License-Identifier: Apache-2.0
#include "logql/engine/patterns.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "core/hash.h"
#include "logql/engine/plan.h"
#include "logql/engine/run.h"
#include "logql/syntax/parser.h"
#include "logs/line_filter.h"

namespace tocayo::logql {

namespace {

constexpr std::string_view kSlot = "<_>";
constexpr std::size_t kMaxLine = 3'000;  // bytes of a line that are looked at word by word
constexpr std::size_t kMaxWords = 200;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  std::size_t start = 0;
  while (true) {
    const std::size_t end = text.find(' ', start);
    words.push_back(text.substr(start, end == std::string_view::npos ? end : end - start));
    if (end == std::string_view::npos) return words;
    start = end + 1;
  }
}

// Whether the whole pattern is legal for `|>` and matches the text.
bool pattern_matches(const std::string& pattern, const std::string& text) {
  if (!pattern.contains(kSlot)) return pattern == text;
  logs::LineFilter filter;
  filter.kind = logs::LineFilter::Kind::pattern;
  filter.operands = {pattern};
  const auto matcher = logs::LineMatcher::create(filter);
  return matcher && matcher->matches(text);
}

// One word of which two are the instances: what they share before a slot, when something is left of both.
std::string merge_words(std::string_view a, std::string_view b) {
  if (a == b) return std::string(a);
  const std::size_t equals = a.find('=');
  if (equals != std::string_view::npos && equals + 1 < a.size() && b.size() > equals + 1 &&
      b.substr(0, equals + 1) == a.substr(0, equals + 1) && !a.substr(0, equals).contains('<')) {
    return std::string(a.substr(0, equals + 1)) + std::string(kSlot);
  }
  return std::string(kSlot);
}

std::string join(const std::vector<std::string>& words) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) out.push_back(' ');
    out += words[i];
  }
  return out;
}

// A slot swallows its neighbour: two without anything between are not a pattern.
std::string without_neighbours(std::string text) {
  const std::string twice = std::string(kSlot) + std::string(kSlot);
  for (std::size_t at = text.find(twice); at != std::string::npos; at = text.find(twice, at)) {
    text.erase(at, kSlot.size());
  }
  return text;
}

struct Cluster {
  std::vector<std::string> words;
  std::string text;
  std::string level;
  std::uint64_t count = 0;
  std::map<TimestampNs, std::uint64_t> samples;
};

}  // namespace

struct PatternMerger::State {
  PatternOptions options;
  std::vector<Cluster> clusters;
  // Clusters that may be alike: by level, number of words and first word.
  std::map<std::tuple<std::string, std::size_t, std::string>, std::vector<std::size_t>> groups;
  // Patterns seen before, so that a frequent one costs one look-up.
  std::unordered_map<std::string, std::size_t> known;

  static std::string first_word(std::string_view word) {
    return word.contains(kSlot) ? std::string(kSlot) : std::string(word);
  }

  double likeness(const Cluster& cluster, const std::vector<std::string_view>& words) const {
    std::size_t equal = 0;
    for (std::size_t i = 0; i < words.size(); ++i) equal += cluster.words[i] == words[i] ? 1 : 0;
    return static_cast<double>(equal) / static_cast<double>(words.size());
  }

  // Puts the words into the cluster, if the merged pattern still matches both.
  bool absorb(Cluster& cluster, const std::vector<std::string_view>& words, const std::string& text) const {
    std::vector<std::string> merged;
    for (std::size_t i = 0; i < words.size(); ++i) merged.push_back(merge_words(cluster.words[i], words[i]));
    std::string pattern = without_neighbours(join(merged));
    if (std::ranges::all_of(merged, [](const std::string& w) { return w == kSlot; })) return false;  // says nothing
    if (pattern != cluster.text && (!pattern_matches(pattern, cluster.text) || !pattern_matches(pattern, text))) {
      return false;
    }
    cluster.words = std::move(merged);
    cluster.text = std::move(pattern);
    return true;
  }

  std::size_t find(std::string_view pattern, std::string_view level) {
    std::string key = std::string(level) + '\0' + std::string(pattern);
    if (const auto at = known.find(key); at != known.end()) return at->second;
    const std::string text = without_neighbours(std::string(pattern));
    const auto words = words_of(text);
    auto& group = groups[{std::string(level), words.size(), first_word(words[0])}];
    std::vector<std::pair<double, std::size_t>> alike;
    for (std::size_t index : group) {
      const double part = likeness(clusters[index], words);
      if (part >= options.similarity || clusters.size() >= options.max_clusters) alike.emplace_back(part, index);
    }
    std::ranges::stable_sort(alike, std::ranges::greater{}, &std::pair<double, std::size_t>::first);
    std::size_t found = clusters.size();
    for (const auto& [part, index] : alike) {
      if (!absorb(clusters[index], words, text)) continue;
      found = index;
      break;
    }
    if (found == clusters.size()) {
      Cluster cluster;
      cluster.words.assign(words.begin(), words.end());
      cluster.text = text;
      cluster.level = std::string(level);
      clusters.push_back(std::move(cluster));
      group.push_back(found);
    }
    if (known.size() > 4 * options.max_clusters) known.clear();
    known.emplace(std::move(key), found);
    return found;
  }

  TimestampNs align(TimestampNs time) const {
    const std::int64_t step = std::max<std::int64_t>(options.step_ns, 1);
    const std::int64_t rest = ((time % step) + step) % step;
    return time - rest;
  }
};

PatternMerger::PatternMerger(PatternOptions options) : state_(std::make_unique<State>()) { state_->options = options; }
PatternMerger::PatternMerger(PatternMerger&&) noexcept = default;
PatternMerger& PatternMerger::operator=(PatternMerger&&) noexcept = default;
PatternMerger::~PatternMerger() = default;

void PatternMerger::add(std::string_view pattern, std::string_view level, TimestampNs time, std::uint64_t count) {
  if (pattern.empty()) return;
  Cluster& cluster = state_->clusters[state_->find(pattern, level)];
  cluster.count += count;
  cluster.samples[state_->align(time)] += count;
}

void PatternMerger::merge(PatternMerger&& other) {
  for (const Cluster& cluster : other.state_->clusters) {
    Cluster& mine = state_->clusters[state_->find(cluster.text, cluster.level)];
    mine.count += cluster.count;
    for (const auto& [time, count] : cluster.samples) mine.samples[state_->align(time)] += count;
  }
}

std::vector<logs::Pattern> PatternMerger::result() const {
  std::vector<const Cluster*> sorted;
  for (const Cluster& cluster : state_->clusters) {
    if (cluster.count > 0) sorted.push_back(&cluster);
  }
  std::ranges::sort(sorted, [](const Cluster* a, const Cluster* b) {
    return a->count != b->count ? a->count > b->count : std::tie(a->text, a->level) < std::tie(b->text, b->level);
  });
  if (sorted.size() > state_->options.max_patterns) sorted.resize(state_->options.max_patterns);
  std::vector<logs::Pattern> out;
  for (const Cluster* cluster : sorted) {
    out.push_back({cluster->text, cluster->level, {cluster->samples.begin(), cluster->samples.end()}});
  }
  return out;
}

std::string PatternMerger::guess_pattern(std::string_view line) {
  std::string out;
  std::size_t at = 0;
  std::size_t words = 0;
  // Runs of letters, digits and what joins them within values; a run with a digit is a slot, and so is quoted text.
  const auto joins = [](char c) { return c == '.' || c == ':' || c == '-' || c == '_' || c == '/'; };
  const auto slot = [&] {
    if (!out.ends_with(kSlot)) out += kSlot;
  };
  while (at < line.size()) {
    if (at > kMaxLine || words > kMaxWords) {
      slot();
      break;
    }
    const char c = line[at];
    if (is_digit(c) || is_alpha(c)) {
      std::size_t end = at;
      bool value = false;
      while (end < line.size() && (is_digit(line[end]) || is_alpha(line[end]) || joins(line[end]))) {
        value = value || is_digit(line[end]);
        ++end;
      }
      while (end > at + 1 && joins(line[end - 1])) --end;  // punctuation at the end belongs to the text
      if (value) {
        slot();
      } else {
        out += line.substr(at, end - at);
      }
      at = end;
    } else if (c == '<') {
      slot();  // may not begin a name
      ++at;
    } else if (c == '"') {
      std::size_t end = at + 1;
      while (end < line.size() && line[end] != '"') end += line[end] == '\\' ? 2 : 1;
      const bool spaced = end < line.size() && line.substr(at, end - at).contains(' ');
      out.push_back('"');
      ++at;
      if (spaced) {
        slot();
        out.push_back('"');
        at = end + 1;
      }
    } else {
      if (c == ' ') ++words;
      out.push_back(c);
      ++at;
    }
  }
  // The line may repeat a literal in a way that the filter misses; then it is its own pattern.
  if (pattern_matches(out, std::string(line))) return out;
  return line.contains('<') ? std::string() : std::string(line);
}

Result<std::vector<logs::Pattern>> find_patterns(const logs::Querier& querier, std::string_view query,
                                                 TimestampNs start, TimestampNs end, PatternOptions options,
                                                 const QueryOptions& query_options, const Context& context) {
  LogExpr log = TRY(parse_log(query));
  std::erase_if(log.stages, [](const Stage& s) { return !std::holds_alternative<LineFilterStage>(s.node); });
  options.step_ns = std::max<std::int64_t>(options.step_ns, 10'000'000'000);
  detail::Plan plan = TRY(detail::make_plan(log, {}, detail::Wants::line));
  plan.selection.start = start;
  plan.selection.end = end;
  detail::Run run(querier,
                  {.memory_limit = query_options.memory_limit,
                   .pool = query_options.pool,
                   .parallelism = query_options.parallelism},
                  query_options.timeout.count() > 0 ? context.with_timeout(query_options.timeout) : context);
  const auto scan = TRY(querier.select(plan.selection, run.context()));
  struct Worker {
    PatternMerger merger;
    Processor processor;
    logs::ScanStats stats;
  };
  std::vector<Worker> workers;
  for (std::size_t i = 0; i < run.worker_count(scan->morsels().size()); ++i) {
    workers.push_back({PatternMerger(options), Processor(plan.pipeline), {}});
  }
  const bool filters_left = !plan.pipeline.passes_everything();
  TRY(run.each(scan->morsels().size(), [&](std::size_t worker, std::size_t morsel) {
    Worker& mine = workers[worker];
    return scan->scan(
        morsel, start, end, run.context(),
        [&](std::span<const logs::Row> rows) -> Result<bool> {
          for (const logs::Row& row : rows) {
            const Labels& stream = scan->streams()[row.stream];
            if (filters_left) {
              mine.processor.set_stream(stream);
              if (!mine.processor.process(row.time, row.line, row.metadata)) continue;
            }
            std::string_view level = stream.get("detected_level");
            const auto at = std::ranges::find(row.metadata, std::string_view("detected_level"), &logs::LabelView::name);
            if (at != row.metadata.end()) level = at->value;
            mine.merger.add_line(row.line, level, row.time);
          }
          TRY(run.context().check());
          return true;
        },
        mine.stats);
  }));
  for (std::size_t i = 1; i < workers.size(); ++i) workers[0].merger.merge(std::move(workers[i].merger));
  return workers.empty() ? std::vector<logs::Pattern>{} : workers[0].merger.result();
}

}  // namespace tocayo::logql
