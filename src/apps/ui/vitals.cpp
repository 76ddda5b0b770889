// SPDX-License-Identifier: Apache-2.0
#include "ui/vitals.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cmath>
#include <string>

namespace tocayo::ui {
namespace json = boost::json;
namespace {

constexpr std::array<std::string_view, 6> kPages = {"home", "explore", "hosts", "admin", "profile", "other"};
constexpr std::array<std::string_view, 4> kSigns = {"fcp", "lcp", "inp", "cls"};
constexpr double kLongestMs = 600'000;  // a tab asleep in the middle of a load says more
constexpr double kMostShift = 100;
constexpr std::int64_t kMostEvents = 1000;
constexpr std::array<double, 9> kSeconds = {.025, .05, .1, .2, .5, 1, 2.5, 5, 10};
constexpr std::array<double, 6> kShifts = {.01, .02, .05, .1, .25, 1};

Result<double> number_of(const json::value& value, std::string_view name, double most) {
  if (!value.is_number()) return fail(ErrorKind::bad_input, "\"" + std::string(name) + "\" must be a number");
  const double number = value.to_number<double>();
  if (!(number >= 0 && number <= most)) {
    return fail(ErrorKind::bad_input,
                "\"" + std::string(name) + "\" must be from 0 to " + std::to_string(static_cast<std::int64_t>(most)));
  }
  return number;
}

}  // namespace

Result<VitalsReport> parse_vitals(std::string_view text) {
  boost::system::error_code code;
  const json::value value = json::parse(text, code);
  if (code || !value.is_object()) return fail(ErrorKind::bad_input, "a JSON object is expected");
  VitalsReport report;
  for (const auto& [key, field] : value.as_object()) {
    const std::string_view name = key;
    if (name == "page") {
      const auto* known = field.is_string() ? std::ranges::find(kPages, std::string_view(field.as_string())) : nullptr;
      if (known == nullptr || known == kPages.end()) return fail(ErrorKind::bad_input, "\"page\" is not a known page");
      report.page = *known;
    } else if (const auto* sign = std::ranges::find(kSigns, name); sign != kSigns.end()) {
      const bool shift = name == "cls";
      const double number = TRY(number_of(field, name, shift ? kMostShift : kLongestMs));
      report.signs.emplace_back(*sign, shift ? number : number / 1000);
    } else if (name == "chunkErrors" || name == "slow") {
      const auto count = static_cast<unsigned>(TRY(number_of(field, name, kMostEvents)));
      (name == "slow" ? report.slow_interactions : report.chunk_errors) = count;
    } else {
      return fail(ErrorKind::bad_input, "only page, fcp, lcp, inp, cls, chunkErrors and slow are expected");
    }
  }
  if (report.page.empty()) return fail(ErrorKind::bad_input, "\"page\" is missing");
  return report;
}

Vitals::Vitals(Registry& registry)
    : registry_(registry),
      chunk_errors_(
          registry.counter("tocayo_web_chunk_errors_total", "Parts of the page that browsers could not load.")),
      slow_(registry.counter("tocayo_web_slow_interactions_total",
                             "Interactions with the page that took over 200 ms to show.")) {}

Result<> Vitals::record(const VitalsReport& report, std::chrono::steady_clock::time_point now) {
  if (!rate_.allow(1, kPerSecond, kBurst, now))
    return fail(ErrorKind::limit, "too many reports of vital signs at once: this one is not counted");
  for (const auto& [name, value] : report.signs) {
    Labels labels(std::vector<Label>{{"page", std::string(report.page)}});
    if (name == "cls") {
      registry_
          .histogram("tocayo_web_layout_shift", "How much the page moved by itself (CLS).", std::move(labels), kShifts)
          .observe(value);
      continue;
    }
    labels = Labels(std::vector<Label>{{"page", std::string(report.page)}, {"sign", std::string(name)}});
    registry_
        .histogram("tocayo_web_vital_seconds",
                   "What browsers measured: first and largest paint (fcp, lcp), slowest interaction (inp).",
                   std::move(labels), kSeconds)
        .observe(value);
  }
  chunk_errors_.add(report.chunk_errors);
  slow_.add(report.slow_interactions);
  return {};
}

}  // namespace tocayo::ui
