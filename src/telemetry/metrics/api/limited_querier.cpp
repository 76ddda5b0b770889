// SPDX-License-Identifier: Apache-2.0
#include "metrics/api/limited_querier.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "metrics/ingest_limits.h"

namespace tocayo::metrics::api {
namespace {

class NoSeries final : public SeriesSet {
 public:
  std::size_t size() const override { return 0; }
  const Labels& labels(std::size_t) const override { std::abort(); }
  Result<> read(std::size_t, SampleColumns&) const override { return {}; }
};

class LimitedQuerier final : public Querier {
 public:
  LimitedQuerier(std::shared_ptr<const Querier> inner, QuerierLimits limits, QueryMeter& meter)
      : inner_(std::move(inner)), limits_(limits), meter_(meter) {}

  Result<std::unique_ptr<SeriesSet>> select(std::span<const Matcher> matchers, const SelectHints& hints,
                                            const Context& context) const override {
    SelectHints limited = hints;
    limited.start = std::max(hints.start, limits_.oldest);
    if (limited.meter == nullptr) limited.meter = &meter_;  // else a part of the query has one of its own
    if (limited.start > limited.end) return std::make_unique<NoSeries>();
    const std::uint64_t length =
        static_cast<std::uint64_t>(limited.end) - static_cast<std::uint64_t>(limited.start);  // of sentinels, too
    if (limits_.longest_select.count() > 0 && length > static_cast<std::uint64_t>(limits_.longest_select.count())) {
      return fail(
          ErrorKind::limit,
          with_error_id(
              fmt::format("the query time range exceeds the limit (query length: {}, limit: {})",
                          format_duration(std::chrono::milliseconds(std::min<std::uint64_t>(length, INT64_MAX))),
                          format_duration(limits_.longest_select)),
              "max-query-length", "max_partial_query_length"));
    }
    return inner_->select(matchers, limited, context);
  }

  Result<NameList> label_names(std::span<const std::vector<Matcher>> matcher_sets, TimestampMs start, TimestampMs end,
                               std::size_t limit, const Context& context) const override {
    start = std::max(start, limits_.oldest);
    if (start > end) return NameList{};
    return inner_->label_names(matcher_sets, start, end, limit, context);
  }

  Result<NameList> label_values(const std::string& name, std::span<const std::vector<Matcher>> matcher_sets,
                                TimestampMs start, TimestampMs end, std::size_t limit,
                                const Context& context) const override {
    start = std::max(start, limits_.oldest);
    if (start > end) return NameList{};
    return inner_->label_values(name, matcher_sets, start, end, limit, context);
  }

 private:
  std::shared_ptr<const Querier> inner_;  // shared: the caller may drop his
  QuerierLimits limits_;
  QueryMeter& meter_;
};

}  // namespace

std::shared_ptr<const Querier> limit_querier(std::shared_ptr<const Querier> inner, QuerierLimits limits,
                                             QueryMeter& meter) {
  return std::make_shared<LimitedQuerier>(std::move(inner), limits, meter);
}

}  // namespace tocayo::metrics::api
