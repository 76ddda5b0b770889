// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "metrics/api/handlers.h"
#include "metrics/api/params.h"
#include "metrics/api/respond.h"
#include "metrics/api/result_writer.h"

namespace tocayo::metrics::api {

namespace {

struct LookupParameters {
  std::size_t limit = 0;
  TimestampMs start = 0, end = 0;
  std::vector<std::vector<Matcher>> matcher_sets;
};

Result<LookupParameters> read_lookup(const http::Params& form, const ApiCore& core, const QueryLimits& limits) {
  LookupParameters out;
  out.limit = TRY(limit_param(form));
  out.start = TRY(time_param(form, "start", kMinTime));
  out.end = TRY(time_param(form, "end", kMaxTime));
  out.matcher_sets = TRY(matcher_params(form));
  out.start = clamp_start(core, limits, out.start);
  const auto length = limits.max_labels_query_length;
  if (length.count() > 0 && out.end > out.start &&
      static_cast<std::uint64_t>(out.end) - static_cast<std::uint64_t>(out.start) >
          static_cast<std::uint64_t>(length.count())) {
    out.start = out.end == kMaxTime ? core.deps.clock->now_ms() - length.count() : out.end - length.count();
  }
  return out;
}

std::vector<std::string> truncation(bool truncated) {
  if (truncated) return {std::string(kTruncated)};
  return {};
}

// ["a","b",…] in pieces.
http::Response name_list(NameList list, std::size_t limit, Pool& compute) {
  bool truncated = list.truncated;
  if (limit > 0 && list.names.size() > limit) {
    list.names.resize(limit);
    truncated = true;
  }
  return stream_json(
      [names = std::move(list.names), truncated, next = std::size_t{0}](JsonWriter& out) mutable -> Result<bool> {
        if (next == 0) {
          out.raw(kEnvelopeStart);
          out.raw('[');
        }
        for (; next < names.size(); ++next) {
          if (out.full()) return false;
          if (next > 0) out.raw(',');
          out.string(names[next]);
        }
        out.raw(']');
        end_envelope(out, truncation(truncated), {});
        return true;
      },
      compute);
}

// Series of several selections, merged in the order of their labels, each once.
class SeriesMerge {
 public:
  explicit SeriesMerge(std::vector<std::unique_ptr<SeriesSet>> sets) : sets_(std::move(sets)), next_(sets_.size(), 0) {}

  // The next in order, or null at the end. Valid as long as this.
  const Labels* next() {
    std::size_t best = sets_.size();
    for (std::size_t i = 0; i < sets_.size(); ++i) {
      if (next_[i] == sets_[i]->size()) continue;
      if (best == sets_.size() || sets_[i]->labels(next_[i]) < sets_[best]->labels(next_[best])) best = i;
    }
    if (best == sets_.size()) return nullptr;
    const Labels& labels = sets_[best]->labels(next_[best]);
    for (std::size_t i = 0; i < sets_.size(); ++i) {
      if (next_[i] < sets_[i]->size() && (i == best || sets_[i]->labels(next_[i]) == labels)) ++next_[i];
    }
    return &labels;
  }

 private:
  std::vector<std::unique_ptr<SeriesSet>> sets_;
  std::vector<std::size_t> next_;
};

}  // namespace

Handled handle_labels(ApiCore& core, http::Request& request) {
  auto parameters = read_lookup(request.form(), core, *core.limits(request));
  if (!parameters) co_return error_response(parameters.error());
  co_await core.deps.compute->schedule();
  auto reading = core.begin(request);
  if (!reading) co_return error_response(reading.error());
  auto names = reading->querier->label_names(parameters->matcher_sets, parameters->start, parameters->end,
                                             parameters->limit, reading->query->context());
  if (!names) co_return error_response(reading->query->cause(names.error()));
  co_return name_list(std::move(*names), parameters->limit, *core.deps.compute);
}

Handled handle_label_values(ApiCore& core, http::Request& request) {
  const std::string name = unescape_name(request.param("name"));
  if (name.empty() || !is_valid_utf8(name)) {
    co_return error_response(ErrorType::bad_data, fmt::format("invalid label name: {}", go_quote(name)));
  }
  auto parameters = read_lookup(request.form(), core, *core.limits(request));
  if (!parameters) co_return error_response(parameters.error());
  co_await core.deps.compute->schedule();
  auto reading = core.begin(request);
  if (!reading) co_return error_response(reading.error());
  auto values = reading->querier->label_values(name, parameters->matcher_sets, parameters->start, parameters->end,
                                               parameters->limit, reading->query->context());
  if (!values) co_return error_response(reading->query->cause(values.error()));
  co_return name_list(std::move(*values), parameters->limit, *core.deps.compute);
}

Handled handle_series(ApiCore& core, http::Request& request) {
  const http::Params form = request.form();
  if (form.all("match[]").empty()) co_return error_response(ErrorType::bad_data, "no match[] parameter provided");
  const auto limits = core.limits(request);
  auto parameters = read_lookup(form, core, *limits);
  if (!parameters) co_return error_response(parameters.error());
  if (limits->max_series_query_limit != 0 &&
      (parameters->limit == 0 || parameters->limit > limits->max_series_query_limit)) {
    parameters->limit = limits->max_series_query_limit;
  }
  co_await core.deps.compute->schedule();
  auto reading = core.begin(request);
  if (!reading) co_return error_response(reading.error());
  SelectHints hints;
  hints.start = parameters->start;
  hints.end = parameters->end;
  hints.function = "series";
  hints.limit = parameters->limit == 0 ? 0 : parameters->limit + 1;
  std::vector<std::unique_ptr<SeriesSet>> sets;
  for (const auto& matchers : parameters->matcher_sets) {
    auto set = reading->querier->select(matchers, hints, reading->query->context());
    if (!set) co_return error_response(reading->query->cause(set.error()));
    sets.push_back(std::move(*set));
  }
  // The reading lives in the producer: its sets read from it.
  co_return stream_json(
      [held = std::move(*reading), merge = SeriesMerge(std::move(sets)), limit = parameters->limit,
       written = std::size_t{0}, started = false](JsonWriter& out) mutable -> Result<bool> {
        if (auto alive = held.query->context().check(); !alive)
          return std::unexpected(held.query->cause(alive.error()));
        if (!started) {
          out.raw(kEnvelopeStart);
          out.raw('[');
          started = true;
        }
        bool truncated = false;
        while (!out.full()) {
          const Labels* labels = merge.next();
          if (labels && limit > 0 && written == limit) truncated = true;
          if (!labels || truncated) {
            out.raw(']');
            end_envelope(out, truncation(truncated), {});
            return true;
          }
          if (written++ > 0) out.raw(',');
          out.labels(*labels);
        }
        return false;
      },
      *core.deps.compute);
}

Handled handle_metadata(ApiCore& core, http::Request& request) {
  const http::Params form = request.form();
  const auto count = [&](std::string_view name) -> Result<std::int64_t> {
    const std::string_view text = form.get_or(name, "");
    if (text.empty()) return std::int64_t{-1};
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) {
      return fail(ErrorKind::bad_input, fmt::format("{} must be a number", name));
    }
    return value;
  };
  auto limit = count("limit");
  if (!limit) co_return error_response(limit.error());
  auto per_metric = count("limit_per_metric");
  if (!per_metric) co_return error_response(per_metric.error());
  const std::string metric(form.get_or("metric", ""));

  co_await core.deps.compute->schedule();
  std::vector<MetadataRow> rows;
  if (core.deps.metadata) {
    auto read = core.deps.metadata(request.identity.tenant, metric);
    if (!read) co_return error_response(read.error());
    rows = std::move(*read);
  }
  const auto key = [](const MetadataRow& row) { return std::tie(row.metric, row.type, row.help, row.unit); };
  std::sort(rows.begin(), rows.end(), [&](const MetadataRow& a, const MetadataRow& b) { return key(a) < key(b); });
  rows.erase(std::unique(rows.begin(), rows.end(), [&](const auto& a, const auto& b) { return key(a) == key(b); }),
             rows.end());

  JsonWriter writer;
  writer.raw(kEnvelopeStart);
  writer.raw('{');
  std::int64_t metrics = 0;
  for (std::size_t i = 0; i < rows.size();) {
    if (*limit >= 0 && metrics >= *limit) break;
    writer.raw(metrics++ > 0 ? "," : "");
    writer.key(rows[i].metric);
    writer.raw('[');
    std::int64_t listed = 0;
    const std::string& name = rows[i].metric;
    for (; i < rows.size() && rows[i].metric == name; ++i) {
      if (*per_metric > 0 && listed >= *per_metric) continue;
      writer.raw(listed++ > 0 ? R"(,{"type":)" : R"({"type":)");
      writer.string(rows[i].type);
      writer.raw(R"(,"help":)");
      writer.string(rows[i].help);
      writer.raw(R"(,"unit":)");
      writer.string(rows[i].unit);
      writer.raw('}');
    }
    writer.raw(']');
  }
  writer.raw('}');
  end_envelope(writer, {}, {});
  co_return json_body(std::move(writer));
}

}  // namespace tocayo::metrics::api
