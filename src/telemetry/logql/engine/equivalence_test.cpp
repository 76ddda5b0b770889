// SPDX-License-Identifier: Apache-2.0
// Random queries over random lines: the engine over the store, in whatever form it keeps the lines at the time, against
// the engine over rows in memory without index, encoding or push-down. A difference is made small before it is shown.
// TOCAYO_TEST_SEED picks another run.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <random>

#include "core/log.h"
#include "core/pool.h"
#include "core/testing.h"
#include "logql/engine/engine.h"
#include "logql/engine/plain_store.h"
#include "logs/store/store_test_support.h"

namespace tocayo::logql {
namespace {

using logs::testing::Line;

constexpr TimestampNs kSecond = 1'000'000'000;
constexpr TimestampNs kBegin = logs::testing::kNow - 3 * 86'400 * kSecond;  // a day that is over
constexpr TimestampNs kSpan = 600 * kSecond;

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  std::size_t below(std::size_t n) { return engine_() % n; }
  bool one_in(std::size_t n) { return below(n) == 0; }
  template <typename T>
  const T& of(const std::vector<T>& choices) {
    return choices[below(choices.size())];
  }
  std::string text(std::initializer_list<const char*> choices) { return *(choices.begin() + below(choices.size())); }
  std::string number(std::size_t n) { return std::to_string(below(n)); }

 private:
  std::mt19937_64 engine_;
};

// ---- lines ----

std::string word(Dice& dice) {
  return dice.text({"error", "GET", "timeout", "user", "cache", "x1y2", "Überlauf", "10.0.0.7", "a-b_c.d", "0x1f", ""});
}
std::string level(Dice& dice) { return dice.text({"info", "warn", "error", "debug"}); }
std::string duration(Dice& dice) {
  return dice.one_in(12) ? "soon" : dice.number(900) + dice.text({"ms", ".5ms", "s", "us"});
}
std::string size(Dice& dice) {
  return dice.one_in(12) ? "big" : dice.number(900) + dice.text({"KB", "KiB", "B", ".5MB"});
}
std::string status(Dice& dice) { return dice.text({"200", "200", "404", "500", "503", "-1", "1e2", "2.5", "007"}); }

std::string json_line(Dice& dice) {
  std::vector<std::string> members;
  const auto member = [&](const char* key, const std::string& value) {
    members.push_back(fmt::format("\"{}\":{}{}", key, dice.one_in(4) ? " " : "", value));
  };
  member("level", '"' + level(dice) + '"');
  if (!dice.one_in(5)) member("status", dice.one_in(9) ? '"' + status(dice) + '"' : status(dice));
  if (!dice.one_in(5)) member("dur", '"' + duration(dice) + '"');
  if (dice.one_in(2)) member("size", '"' + size(dice) + '"');
  if (dice.one_in(2))
    member("msg",
           "\"say \\\"" + word(dice) + "\\\" " + dice.text({"\\u00b5", "\\n", "\\u00", ""}) + dice.number(30) + "\"");
  if (dice.one_in(3)) member("nested", "{\"a\":" + dice.number(4) + ",\"b\":{\"c\":\"" + word(dice) + "\"}}");
  if (dice.one_in(3)) member("list", "[1,\"" + word(dice) + "\"," + dice.number(9) + "]");
  if (dice.one_in(3)) member("ok", dice.text({"true", "false", "null", "7"}));
  if (dice.one_in(4)) member("app", "\"in line\"");
  if (dice.one_in(6)) member(("k" + dice.number(3)).c_str(), dice.number(5));
  if (dice.one_in(6)) member("level", "\"again\"");
  std::string line = "{";
  for (std::size_t i = 0; i < members.size(); ++i) line += (i == 0 ? "" : dice.text({",", ", "})) + members[i];
  line += "}";
  if (dice.one_in(15)) line.resize(dice.below(line.size()));
  if (dice.one_in(30)) line += " tail";
  return line;
}

std::string logfmt_line(Dice& dice) {
  std::string line = "level=" + level(dice);
  if (!dice.one_in(5)) line += " status=" + status(dice);
  if (!dice.one_in(5)) line += " dur=" + duration(dice);
  if (dice.one_in(2)) line += " size=" + size(dice);
  if (dice.one_in(2))
    line += " msg=\"say " + word(dice) + dice.text({" \\\"x\\\" ", " \\u00b5 ", " "}) + dice.number(30) + "\"";
  if (dice.one_in(4)) line += " app=" + word(dice);
  if (dice.one_in(5)) line += " bare" + dice.number(4);
  if (dice.one_in(6)) line += " k" + dice.number(3) + "=" + dice.number(5);
  if (dice.one_in(8)) line += " empty= ";
  if (dice.one_in(10)) line += dice.text({" =x", " a=b=c", " q=\"open", " \"q\"=1", " z=\"1\"y=2"});
  if (dice.one_in(9)) line += " ts=2026-11-24T10:00:0" + dice.number(9) + ".123Z";
  return line;
}

std::string any_line(Dice& dice) {
  switch (dice.below(8)) {
    case 0:
    case 1:
    case 2: return json_line(dice);
    case 3:
    case 4:
    case 5: return logfmt_line(dice);
    case 6:
      return word(dice) + " " + level(dice) + " id=" + dice.number(40) + " took " + duration(dice) + " from 10.0." +
             dice.number(3) + "." + dice.number(9) + (dice.one_in(9) ? "\xff\xfe" : "");
    default: break;
  }
  if (dice.one_in(3)) return "";
  std::string bytes;
  for (std::size_t n = dice.below(30); n > 0; --n) bytes.push_back(static_cast<char>(dice.below(256)));
  return bytes;
}

// As programs write them: always the same members in the same order, so that a segment finds a template and keeps the
// values in columns.
std::string regular_line(Dice& dice, std::size_t kind) {
  const std::string odd = dice.one_in(60) ? dice.text({"a\\\"b", "x=y", "two words", "\xc3\xbc", "\\u00b5"}) : "";
  switch (kind % 5) {
    case 0:
      return fmt::format(R"({{"level":"{}","status":{},"dur":"{}","size":"{}","msg":"user {} said {}{}","ok":{}}})",
                         level(dice), status(dice), duration(dice), size(dice), dice.below(1'000),
                         dice.text({"hi", "no"}), odd, dice.text({"true", "false", "null"}));
    case 1:
      return fmt::format(R"({{"app":"in{}","level":"{}","nested":{{"a":{},"b":{{"c":"w{}"}}}},"list":[{},2],"k{}":1}})",
                         dice.below(3), level(dice), dice.below(50), dice.below(9), dice.below(99),
                         kind < 5 ? 1 : dice.below(3));
    case 2:
      return fmt::format(R"(level={} status={} dur={} size={} msg="user {} said {}{}" k1={})", level(dice),
                         status(dice), duration(dice), size(dice), dice.below(1'000), dice.text({"hi", "no"}), odd,
                         dice.below(4));
    case 3:
      return fmt::format("ts=2026-11-24T10:00:{:02}.{:03}Z level={} app=svc{} trace={:08x} bare{} status={}",
                         dice.below(60), dice.below(1'000), level(dice), dice.below(3), dice.below(1U << 31),
                         kind < 5 ? 7 : dice.below(3), dice.below(600));
    default: break;
  }
  return fmt::format("{} id={} took {} from 10.0.{}.{}", level(dice), dice.below(40), duration(dice), dice.below(3),
                     dice.below(9));
}

std::vector<Line> random_lines(Dice& dice) {
  std::vector<Line> lines;
  const bool regular = dice.one_in(2);
  const std::size_t kinds = 1 + dice.below(3);
  const std::size_t first_kind = dice.below(10);
  const std::size_t count = 1 + dice.below(dice.one_in(4) ? 800 : 120);
  for (std::size_t i = 0; i < count; ++i) {
    Line line;
    line.labels = Labels{{"app", dice.text({"shop", "pay"})}, {"env", dice.text({"prod", "dev"})}};
    if (dice.one_in(2)) line.labels.set("host", "h" + dice.number(3));
    if (dice.one_in(12)) line.labels.set("status", "of stream");
    line.time = kBegin + static_cast<TimestampNs>(dice.below(static_cast<std::size_t>(kSpan)));
    if (dice.one_in(3)) line.time = kBegin + static_cast<TimestampNs>(dice.below(60)) * 10 * kSecond;  // many equal
    line.text = regular ? regular_line(dice, first_kind + dice.below(kinds)) : any_line(dice);
    if (dice.one_in(4)) line.metadata.emplace_back("level", level(dice));
    if (dice.one_in(5)) line.metadata.emplace_back("pod", "pod-" + dice.number(4));
    if (dice.one_in(3)) line.metadata.emplace_back("trace", "t" + dice.number(300));
    if (dice.one_in(6)) line.metadata.emplace_back("x.bytes", dice.number(900));
    lines.push_back(std::move(line));
  }
  return lines;
}

// ---- queries ----

// In parts, so that a failure can lose them one by one.
struct Query {
  std::string before;  // "sum by (a) (rate("
  std::string selector;
  std::vector<std::string> stages;
  std::string after;  // "[1m]))"
  QueryParams params;
  std::string text() const {
    std::string all = before + selector;
    for (const std::string& stage : stages) all += " " + stage;
    return all + after;
  }
};

std::string label(Dice& dice) {
  return dice.text({"level",
                    "level",
                    "status",
                    "dur",
                    "size",
                    "msg",
                    "app",
                    "env",
                    "host",
                    "trace",
                    "pod",
                    "x_bytes",
                    "nested_a",
                    "nested_b_c",
                    "ok",
                    "level_extracted",
                    "app_extracted",
                    "status_extracted",
                    "missing",
                    "k1",
                    "empty",
                    "bare1"});
}

std::string label_filter(Dice& dice) {
  switch (dice.below(9)) {
    case 0: return "status " + dice.text({">=", ">", "<", "==", "!="}) + " " + dice.text({"500", "200", "2.5", "0"});
    case 1: return "dur " + dice.text({">", "<=", "=="}) + " " + dice.text({"100ms", "1s", "5us"});
    case 2: return "size " + dice.text({">", "<"}) + " " + dice.text({"10KB", "1MiB"});
    case 3: return label(dice) + dice.text({"=~", "!~"}) + dice.text({"\"err.*\"", "\".*1.*\"", "\"\"", "\".+\""});
    case 4: return "(level=\"error\" " + dice.text({"or", "and"}) + " " + label(dice) + "!=\"\")";
    case 5: return dice.text({"__error__=\"\"", "__error__!=\"\"", "__error__!=\"JSONParserErr\""});
    case 6: return "nested_a " + dice.text({">", "="}) + " 2";
    default: break;
  }
  return label(dice) + dice.text({"=", "!="}) + "\"" + dice.text({"error", "info", "200", "shop", "h1", "t7", ""}) +
         "\"";
}

std::string stage(Dice& dice) {
  switch (dice.below(14)) {
    case 0:
      return dice.text({"|=", "!="}) + " \"" + dice.text({"error", "user", "1", "level", "\\\"", "ms", ""}) + "\"";
    case 1:
      return dice.text({"|~", "!~"}) + " `" + dice.text({"(?i)ERROR", "\\d{3}", "id=\\d+", "^\\{", "info|warn"}) + "`";
    case 2: return dice.text({"|>", "!>"}) + " `" + dice.text({"<_>id=<_>", "level=<_> <_>", "<_>error<_>"}) + "`";
    case 3:
    case 4: return "| json";
    case 5: return "| json lvl=\"level\", a=\"nested.a\", l=\"list[1]\", k=\"k1\", n=\"nested\"";
    case 6:
    case 7: return "| logfmt" + dice.text({"", "", " --strict", " --keep-empty"});
    case 8: return "| logfmt lvl=\"level\", k=\"k1\", y=\"y\"";
    case 9: return "| drop " + label(dice) + dice.text({"", "", "=\"error\""});
    case 10: return "| keep " + label(dice) + ", " + label(dice) + dice.text({"", ", status"});
    case 11:
      return dice.text({"| line_format \"{{.level}} {{.msg}}\"", "| label_format a=level, b=\"{{.status}}!\"",
                        "| decolorize", "| pattern `<_> <first> <_>`", "| regexp `(?P<num>\\\\d+)`", "| unpack"});
    default: break;
  }
  return "| " + label_filter(dice);
}

std::string grouping(Dice& dice) {
  if (dice.one_in(5)) return " without (" + label(dice) + ")";
  return " by (" + (dice.one_in(6) ? "" : label(dice) + (dice.one_in(2) ? ", " + label(dice) : "")) + ")";
}

Query random_query(Dice& dice) {
  Query query;
  query.selector = dice.text({"{app=\"shop\"}", "{app=~\".+\"}", "{app=\"pay\", env!=\"dev\"}", "{env=\"prod\"}",
                              "{app=~\"s.*|p.*\", host=~\"h[01]|\"}", "{app=\"none\"}"});
  for (std::size_t n = dice.below(5); n > 0; --n) query.stages.push_back(stage(dice));
  auto& params = query.params;
  params.start = kBegin - 5 * kSecond + static_cast<TimestampNs>(dice.below(200)) * kSecond;
  params.end = params.start + static_cast<TimestampNs>(1 + dice.below(650)) * kSecond;
  params.direction = dice.one_in(2) ? logs::Direction::forward : logs::Direction::backward;
  params.limit = dice.one_in(3) ? 5'000 : 1 + dice.below(40);
  if (dice.one_in(3)) {
    if (dice.one_in(8)) params.interval_ns = 20 * kSecond;
    return query;
  }
  params.step_ns = static_cast<TimestampNs>(1 + dice.below(200)) * kSecond;
  params.instant = dice.one_in(3);
  std::string range = "[" + dice.text({"10s", "1m", "7m", "1s"}) + "]" + (dice.one_in(8) ? " offset 30s" : "");
  std::string op;
  std::string own;  // the grouping of the range aggregation
  if (dice.one_in(2)) {
    op = dice.text({"count_over_time", "rate", "bytes_over_time", "bytes_rate", "absent_over_time"});
  } else {
    op = dice.text({"sum_over_time", "avg_over_time", "min_over_time", "max_over_time", "first_over_time",
                    "last_over_time", "stddev_over_time", "stdvar_over_time", "quantile_over_time", "rate",
                    "rate_counter", "sum_over_time"});
    const std::string unwrapped =
        dice.text({"status", "status", "duration(dur)", "bytes(size)", "x_bytes", "nested_a", "duration_seconds(dur)"});
    query.stages.push_back("| unwrap " + unwrapped);
    if (dice.one_in(2)) query.stages.back() += " | __error__=\"\"";
    const bool groups = op != "sum_over_time" && op != "rate" && op != "rate_counter";
    if (groups && dice.one_in(2)) own = grouping(dice);
  }
  query.before = op + "(" + (op == "quantile_over_time" ? "0.9, " : "");
  query.after = range + ")" + own;
  if (op == "absent_over_time" || !dice.one_in(4)) {
    if (op != "absent_over_time") {
      query.before =
          dice.text({"sum", "sum", "max", "min", "avg", "count", "stddev"}) + grouping(dice) + " (" + query.before;
      query.after += ")";
    }
    if (dice.one_in(10)) query.after += dice.text({" * 2", " > 1", " > bool 1"});
  }
  return query;
}

// ---- comparing ----

bool same(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  if (a == b) return true;
  return std::abs(a - b) <= 1e-9 * std::max(std::abs(a), std::abs(b));
}

std::string shown(const Result<QueryResult>& result) {
  if (!result) return "error: " + result.error().message;
  std::string out;
  if (const auto* log = std::get_if<LogValue>(&result->value)) {
    for (const LogLine& line : log->lines) {
      out += fmt::format("{} {} `{}`\n", line.time - kBegin, line.labels->labels().to_string(false), line.line);
    }
  } else if (const auto* vector = std::get_if<VectorValue>(&result->value)) {
    for (const auto& one : vector->samples) out += fmt::format("{} {}\n", one.labels.to_string(false), one.value);
  } else if (const auto* matrix = std::get_if<MatrixValue>(&result->value)) {
    for (const auto& one : matrix->series) {
      out += one.labels.to_string(false);
      for (const auto& point : one.points) out += fmt::format(" {}@{}", point.value, (point.time - kBegin) / kSecond);
      out += "\n";
    }
  }
  return out;
}

bool same(const Result<QueryResult>& a, const Result<QueryResult>& b) {
  if (!a || !b) return !a && !b && a.error().kind == b.error().kind && a.error().message == b.error().message;
  if (a->value.index() != b->value.index()) return false;
  if (const auto* log = std::get_if<LogValue>(&a->value)) {
    const auto& other = std::get<LogValue>(b->value);
    if (log->next.has_value() != other.next.has_value()) return false;
    if (log->next && (log->next->time != other.next->time || log->next->skip != other.next->skip)) return false;
    return std::ranges::equal(log->lines, other.lines, [](const LogLine& x, const LogLine& y) {
      return x.time == y.time && x.line == y.line && x.labels->all == y.labels->all &&
             x.labels->metadata == y.labels->metadata && x.labels->parsed == y.labels->parsed;
    });
  }
  if (const auto* vector = std::get_if<VectorValue>(&a->value)) {
    return std::ranges::equal(vector->samples, std::get<VectorValue>(b->value).samples,
                              [](const auto& x, const auto& y) {
                                return x.labels == y.labels && x.time == y.time && same(x.value, y.value);
                              });
  }
  if (const auto* matrix = std::get_if<MatrixValue>(&a->value)) {
    return std::ranges::equal(matrix->series, std::get<MatrixValue>(b->value).series, [](const auto& x, const auto& y) {
      return x.labels == y.labels && std::ranges::equal(x.points, y.points, [](const Point& p, const Point& q) {
               return p.time == q.time && same(p.value, q.value);
             });
    });
  }
  return same(std::get<ScalarValue>(a->value).value, std::get<ScalarValue>(b->value).value);
}

// ---- the test ----

enum class Form : unsigned char { head, segment, both, merged };
constexpr const char* kForms[] = {"in the head", "in a segment", "in segments and the head", "merged"};

class Equivalence : public logs::testing::StoreFixture {
 protected:
  void SetUp() override {
    log::set_level(log::Level::error);  // cuts and merges by the thousand
    StoreFixture::SetUp();
  }
  void TearDown() override { log::set_level(log::Level::info); }
  // A tenant of its own for each data set: stores are dear to open.
  std::string load(const std::vector<Line>& lines, Form form) {
    const std::string tenant = "t" + std::to_string(next_tenant_++);
    const std::size_t parts = form == Form::merged ? 5 : form == Form::both ? 3 : 1;
    for (std::size_t part = 0; part < parts; ++part) {
      const auto from = lines.begin() + static_cast<std::ptrdiff_t>(lines.size() * part / parts);
      const auto to = lines.begin() + static_cast<std::ptrdiff_t>(lines.size() * (part + 1) / parts);
      append({from, to}, tenant);
      const bool stays = form == Form::head || (form == Form::both && part + 1 == parts);
      if (!stays) {
        EXPECT_TRUE(store_->flush(tenant));
      }
    }
    if (form == Form::merged) {
      for (int round = 0; round < 4 && store_->stats(tenant).segments > 1; ++round) store_->maintain();
      if (lines.size() >= 20) {
        EXPECT_EQ(store_->stats(tenant).segments, 1U) << "not merged";
      }
    }
    return tenant;
  }
  static PlainStore plain(const std::vector<Line>& lines) {
    PlainStore store(64);
    for (const Line& line : lines) {
      std::vector<logs::LabelView> metadata;
      for (const auto& [name, value] : line.metadata) metadata.push_back({name, value});
      const logs::EntryRow row{line.time, line.text, metadata};
      store.add(line.labels, std::span(&row, 1));
    }
    return store;
  }
  struct Answers {
    Result<QueryResult> expected;
    Result<QueryResult> got;
    bool equal() const { return same(expected, got); }
  };
  Answers ask(const PlainStore& oracle, const std::string& tenant, const Query& query) {
    QueryOptions threads;
    threads.pool = &pool_;
    const auto querier = store_->querier(tenant);
    if (!query.params.instant && query.params.step_ns > 0) {
      // What a dashboard asked before it refreshed: its results by row group are used again.
      QueryParams before = query.params;
      before.start -= 2 * before.step_ns;
      before.end -= 2 * before.step_ns;
      (void)engine_.query(*querier, query.text(), before, threads);
    }
    return {plain_engine_.query(oracle, query.text(), query.params),
            engine_.query(*querier, query.text(), query.params, threads)};
  }
  bool differs(const std::vector<Line>& lines, Form form, const Query& query) {
    const auto tenant = load(lines, form);
    return !ask(plain(lines), tenant, query).equal();
  }

  // Fewer stages and fewer lines, as long as the answers still differ.
  void shrink(std::vector<Line>& lines, Form form, Query& query) {
    for (std::size_t i = query.stages.size(); i-- > 0;) {
      Query less = query;
      less.stages.erase(less.stages.begin() + static_cast<std::ptrdiff_t>(i));
      if (differs(lines, form, less)) query = std::move(less);
    }
    int tries = 200;
    for (std::size_t piece = lines.size() / 2; piece > 0; piece /= 2) {
      for (std::size_t at = 0; at < lines.size() && tries > 0;) {
        auto less = lines;
        less.erase(less.begin() + static_cast<std::ptrdiff_t>(at),
                   less.begin() + static_cast<std::ptrdiff_t>(std::min(at + piece, less.size())));
        --tries;
        if (!less.empty() && differs(less, form, query)) {
          lines = std::move(less);
        } else {
          at += piece;
        }
      }
    }
  }

  Engine plain_engine_;
  Engine engine_{{.partial_cache = 8 << 20}};
  Pool pool_{"test", 2};
  std::size_t next_tenant_ = 0;
};

TEST_F(Equivalence, OfTheStoreAndPlainRows) {
  const char* chosen = std::getenv("TOCAYO_TEST_SEED");
  const std::uint64_t seed = chosen != nullptr ? std::strtoull(chosen, nullptr, 10) : 20'261'130;
  const auto cases = test_rounds<std::size_t>(3'000, 100'000, 500);
  constexpr std::size_t kQueries = 100;  // a data set
  Dice dice(seed);
  std::size_t answered = 0;
  int failures = 0;
  for (std::size_t done = 0; done < cases && failures < 5; done += kQueries) {
    const auto lines = random_lines(dice);
    const Form form = static_cast<Form>((done / kQueries) % 4);
    const auto oracle = plain(lines);
    const auto tenant = load(lines, form);
    ASSERT_EQ(read(everything(), tenant).size(), oracle.row_count());
    for (std::size_t i = 0; i < kQueries && failures < 5; ++i) {
      Query query = random_query(dice);
      const auto answers = ask(oracle, tenant, query);
      if (answers.expected) ++answered;
      if (answers.equal()) continue;
      ++failures;
      auto fewer = lines;
      shrink(fewer, form, query);
      const auto left = ask(plain(fewer), load(fewer, form), query);
      std::string text;
      for (const Line& line : fewer) {
        if (text.size() > 4'000) break;
        text += "  " + ::testing::PrintToString(line) + "\n";
      }
      ADD_FAILURE() << query.text() << (query.params.instant ? " at " : " over ")
                    << (query.params.start - kBegin) / kSecond << ".." << (query.params.end - kBegin) / kSecond
                    << " step " << query.params.step_ns / kSecond << " limit " << query.params.limit << "\nlines "
                    << kForms[static_cast<std::size_t>(form)] << ":\n"
                    << text << "expected:\n"
                    << shown(left.expected) << "got:\n"
                    << shown(left.got);
    }
  }
  // The generator has to make queries that mean something.
  EXPECT_GT(answered, failures == 0 ? cases / 2 : 0);
}

// The same to the last bit.
bool identical(const Result<QueryResult>& a, const Result<QueryResult>& b) {
  const auto bits = [](double value) { return std::isnan(value) ? ~0ULL : std::bit_cast<std::uint64_t>(value); };
  if (!a || !b) return !a && !b && a.error().message == b.error().message;
  if (const auto* vector = std::get_if<VectorValue>(&a->value)) {
    return std::ranges::equal(
        vector->samples, std::get<VectorValue>(b->value).samples,
        [&](const auto& x, const auto& y) { return x.labels == y.labels && bits(x.value) == bits(y.value); });
  }
  if (const auto* matrix = std::get_if<MatrixValue>(&a->value)) {
    return std::ranges::equal(
        matrix->series, std::get<MatrixValue>(b->value).series, [&](const auto& x, const auto& y) {
          return x.labels == y.labels && std::ranges::equal(x.points, y.points, [&](const Point& p, const Point& q) {
                   return p.time == q.time && bits(p.value) == bits(q.value);
                 });
        });
  }
  return same(a, b);
}

TEST_F(Equivalence, OfStatesOnDiskAndInMemory) {
  const char* chosen = std::getenv("TOCAYO_TEST_SEED");
  Dice dice(chosen != nullptr ? std::strtoull(chosen, nullptr, 10) : 815);
  const auto cases = test_rounds<std::size_t>(3'000, 60'000, 300);
  constexpr std::size_t kQueries = 50;
  const Engine spilling{{.partial_cache = 8 << 20,
                         .spill_directory = (directory_.path() / "spill").string(),
                         .spill_bytes = 1ULL << 30,
                         .spill_states_at = 1}};
  std::size_t spilled = 0;
  int failures = 0;
  for (std::size_t done = 0; done < cases && failures < 5; done += kQueries) {
    const Form form = static_cast<Form>((done / kQueries) % 4);
    const auto tenant = load(random_lines(dice), form);
    const auto querier = store_->querier(tenant);
    for (std::size_t i = 0; i < kQueries; ++i) {
      const Query query = random_query(dice);
      if (query.before.empty()) continue;
      QueryOptions options;
      if (dice.one_in(2)) options.pool = &pool_;
      const auto expected = plain_engine_.query(*querier, query.text(), query.params);
      const auto got = spilling.query(*querier, query.text(), query.params, options);
      if (got && got->stats.spilled_bytes > 0) ++spilled;
      if (identical(expected, got)) continue;
      ++failures;
      ADD_FAILURE() << query.text() << ", lines " << kForms[static_cast<std::size_t>(form)] << "\nin memory:\n"
                    << shown(expected) << "on disk:\n"
                    << shown(got);
    }
  }
  EXPECT_GT(spilled, failures == 0 ? cases / 15 : 0);
}

}  // namespace
}  // namespace tocayo::logql
