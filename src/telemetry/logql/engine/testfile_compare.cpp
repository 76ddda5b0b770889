// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/labels.h"
#include "logql/engine/testfile.h"
#include "logql/pipeline/pipeline.h"

namespace tocayo::logql::table {

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

bool near(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  if (std::isinf(a) || std::isinf(b) || a == b) return a == b;
  return std::fabs(a - b) <= 1e-9 * std::max(std::fabs(a), std::fabs(b));
}

LabelList without_details(LabelList labels) {
  std::erase_if(labels, [](const Label& label) { return label.name == kErrorDetailsLabel; });
  return labels;
}

std::string print(const LabelList& labels) {
  std::string out;
  for (const Label& label : labels) out += (out.empty() ? "" : ", ") + label.name + "=" + go_quote(label.value);
  return "{" + out + "}";
}

struct Printer {
  std::string operator()(const Failure& f) const { return fmt::format("error {}: {}", f.status, f.message); }
  std::string operator()(const Scalar& s) const { return fmt::format("scalar {}", s.value); }
  std::string operator()(const std::string& text) const { return text; }
  std::string operator()(const std::vector<Sample>& samples) const {
    std::string out = "vector";
    for (const Sample& one : samples) out += fmt::format("\n    {} {}", print(one.labels), one.value);
    return out;
  }
  std::string operator()(const std::vector<Series>& all) const {
    std::string out = "matrix";
    for (const Series& one : all) {
      out += "\n    " + print(one.labels);
      for (const auto& [time, value] : one.points) {
        out += fmt::format(" {}@{}", value, static_cast<double>(time % (100'000 * kSecond)) / 1e9);
      }
    }
    return out;
  }
  std::string operator()(const std::vector<Lines>& all) const {
    std::string out = "streams";
    for (const Lines& one : all) {
      out += "\n    " + print(one.labels);
      for (const Line& line : one.lines) {
        out += fmt::format("\n      {} {}", static_cast<double>(line.time % (100'000 * kSecond)) / 1e9,
                           go_quote(line.text));
        if (!line.metadata.empty() || !line.parsed.empty()) out += print(line.metadata) + print(line.parsed);
      }
    }
    return out;
  }
};

void normalise(Answer& answer, bool ordered) {
  if (auto* samples = std::get_if<std::vector<Sample>>(&answer)) {
    for (Sample& one : *samples) one.labels = without_details(std::move(one.labels));
    if (!ordered) std::ranges::sort(*samples, {}, &Sample::labels);
  } else if (auto* all = std::get_if<std::vector<Series>>(&answer)) {
    for (Series& one : *all) one.labels = without_details(std::move(one.labels));
    std::ranges::sort(*all, {}, &Series::labels);
  } else if (auto* streams = std::get_if<std::vector<Lines>>(&answer)) {
    for (Lines& one : *streams) {
      one.labels = without_details(std::move(one.labels));
      for (Line& line : one.lines) line.parsed = without_details(std::move(line.parsed));
    }
    std::ranges::sort(*streams, [](const Lines& a, const Lines& b) {
      if (a.labels != b.labels) return a.labels < b.labels;
      return !a.lines.empty() && !b.lines.empty() && a.lines.front().time < b.lines.front().time;
    });
  }
}

bool is_empty(const Answer& answer) {
  if (const auto* samples = std::get_if<std::vector<Sample>>(&answer)) return samples->empty();
  if (const auto* all = std::get_if<std::vector<Series>>(&answer)) return all->empty();
  if (const auto* streams = std::get_if<std::vector<Lines>>(&answer)) return streams->empty();
  return false;
}

struct Same {
  const Answer& other;

  template <typename T, typename Equal>
  bool each(const std::vector<T>& expected, Equal equal) const {
    const auto* actual = std::get_if<std::vector<T>>(&other);
    return actual != nullptr && std::ranges::equal(expected, *actual, equal);
  }
  bool operator()(const Failure& expected) const {
    const auto* actual = std::get_if<Failure>(&other);
    return actual != nullptr && actual->status == expected.status && actual->message.contains(expected.message);
  }
  bool operator()(const Scalar& expected) const {
    const auto* actual = std::get_if<Scalar>(&other);
    return actual != nullptr && near(actual->value, expected.value);
  }
  bool operator()(const std::string& expected) const {
    const auto* actual = std::get_if<std::string>(&other);
    return actual != nullptr && *actual == expected;
  }
  bool operator()(const std::vector<Sample>& expected) const {
    return each(expected,
                [](const Sample& a, const Sample& b) { return a.labels == b.labels && near(a.value, b.value); });
  }
  bool operator()(const std::vector<Series>& expected) const {
    return each(expected, [](const Series& a, const Series& b) {
      return a.labels == b.labels && std::ranges::equal(a.points, b.points, [](const auto& x, const auto& y) {
               return x.first == y.first && near(x.second, y.second);
             });
    });
  }
  bool operator()(const std::vector<Lines>& expected) const {
    return each(expected, [](const Lines& a, const Lines& b) {
      return a.labels == b.labels && std::ranges::equal(a.lines, b.lines, [](const Line& x, const Line& y) {
               return x.time == y.time && x.text == y.text && x.metadata == y.metadata && x.parsed == y.parsed;
             });
    });
  }
};

}  // namespace

std::string compare(const Case& one, const Answer& answer) {
  Answer actual = answer;
  normalise(actual, one.expected.ordered);
  if (one.expected.empty) {
    return is_empty(actual) ? "" : "  expected nothing, got " + std::visit(Printer{}, actual);
  }
  Answer expected = one.expected.answer;
  normalise(expected, one.expected.ordered);
  if (std::visit(Same{actual}, expected)) return "";
  return "  expected " + std::visit(Printer{}, expected) + "\n  got " + std::visit(Printer{}, actual);
}

}  // namespace tocayo::logql::table
