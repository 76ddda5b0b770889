// SPDX-License-Identifier: Apache-2.0
// GET /federate?match[]=…: the newest sample of every chosen series, as another Prometheus scrapes it.
#include <fmt/format.h>

#include <protozero/pbf_writer.hpp>
#include <protozero/varint.hpp>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>

#include "core/text.h"
#include "metrics/api/federate.h"
#include "metrics/api/handlers.h"
#include "metrics/api/params.h"
#include "metrics/api/respond.h"

namespace tocayo::metrics::api {

namespace {

using Sample = FederatedSample;

enum class FamilyType : unsigned char { untyped, histogram, gauge_histogram };

FamilyType type_of(const Sample& sample) {
  if (!sample.histogram) return FamilyType::untyped;
  return sample.histogram->hint == ResetHint::gauge ? FamilyType::gauge_histogram : FamilyType::histogram;
}

void append_escaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '"') {
      out += "\\\"";
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out.push_back(c);
    }
  }
}

void append_name(std::string& out, std::string_view name, bool classic) {
  if (classic) return void(out.append(name));
  out.push_back('"');
  append_escaped(out, name);
  out.push_back('"');
}

std::string exposition_number(double value) {
  if (value != value) return "NaN";
  if (value - value != 0) return value > 0 ? "+Inf" : "-Inf";
  return format_shortest(value);
}

// `name{labels} value time`; names beyond the classic alphabet go quoted into the braces.
void append_line(std::string& out, std::string_view name, const std::vector<Label>& labels, std::string_view le,
                 std::string_view value, TimestampMs time) {
  const bool classic = is_classic_metric_name(name);
  if (classic) out.append(name);
  if (!classic || !labels.empty() || !le.empty()) {
    out.push_back('{');
    bool first = true;
    const auto comma = [&] {
      if (!first) out.push_back(',');
      first = false;
    };
    if (!classic) {
      comma();
      append_name(out, name, false);
    }
    for (const Label& label : labels) {
      comma();
      append_name(out, label.name, is_classic_label_name(label.name));
      out += "=\"";
      append_escaped(out, label.value);
      out.push_back('"');
    }
    if (!le.empty()) {
      comma();
      out += fmt::format("le=\"{}\"", le);
    }
    out.push_back('}');
  }
  out += fmt::format(" {} {}\n", value, time);
}

// Cumulative counts of a histogram with custom buckets, without +Inf.
std::vector<std::pair<double, double>> classic_buckets(const FloatHistogram& histogram) {
  std::vector<std::pair<double, double>> buckets;
  double cumulative = 0;
  std::int32_t next = 0;
  BucketCursor cursor(histogram, BucketCursor::Order::positive);
  bool available = cursor.next();
  for (const double bound : histogram.custom_values) {
    while (available && cursor.bucket().index < next) available = cursor.next();
    if (available && cursor.bucket().index == next) cumulative += cursor.bucket().count;
    buckets.emplace_back(bound, cumulative);
    ++next;
  }
  return buckets;
}

void append_text(std::string& out, std::string_view name, const Sample& sample) {
  if (!sample.histogram) return append_line(out, name, sample.labels, "", exposition_number(sample.value), sample.time);
  const std::string base(name);
  for (const auto& [bound, count] : classic_buckets(*sample.histogram)) {
    append_line(out, base + "_bucket", sample.labels, exposition_number(bound), exposition_number(count), sample.time);
  }
  append_line(out, base + "_bucket", sample.labels, "+Inf", exposition_number(sample.histogram->count), sample.time);
  append_line(out, base + "_sum", sample.labels, "", exposition_number(sample.histogram->sum), sample.time);
  append_line(out, base + "_count", sample.labels, "", exposition_number(sample.histogram->count), sample.time);
}

void add_spans(protozero::pbf_writer& out, protozero::pbf_tag_type tag, const std::vector<Span>& spans) {
  for (const Span& span : spans) {
    protozero::pbf_writer message(out, tag);
    message.add_sint32(1, span.offset);
    message.add_uint32(2, span.length);
  }
}

void add_histogram(protozero::pbf_writer& metric, const FloatHistogram& histogram) {
  protozero::pbf_writer out(metric, 7);
  out.add_double(4, histogram.count);
  out.add_double(2, histogram.sum);
  if (histogram.uses_custom_buckets()) {
    for (const auto& [bound, count] : classic_buckets(histogram)) {
      protozero::pbf_writer bucket(out, 3);
      bucket.add_double(4, count);
      bucket.add_double(2, bound);
    }
    return;
  }
  out.add_sint32(5, histogram.schema);
  out.add_double(6, histogram.zero_threshold);
  out.add_double(8, histogram.zero_count);
  add_spans(out, 9, histogram.negative_spans);
  for (const double count : histogram.negative_buckets) out.add_double(11, count);
  add_spans(out, 12, histogram.positive_spans);
  for (const double count : histogram.positive_buckets) out.add_double(14, count);
}

void add_metric(protozero::pbf_writer& family, const Sample& sample) {
  protozero::pbf_writer metric(family, 4);
  for (const Label& label : sample.labels) {
    protozero::pbf_writer pair(metric, 1);
    pair.add_string(1, label.name);
    pair.add_string(2, label.value);
  }
  if (sample.histogram) {
    add_histogram(metric, *sample.histogram);
  } else {
    protozero::pbf_writer untyped(metric, 5);
    untyped.add_double(1, sample.value);
  }
  metric.add_int64(6, sample.time);
}

void append_family_protobuf(std::string& out, std::string_view name, FamilyType type, std::span<const Sample> samples) {
  std::string message;
  {
    protozero::pbf_writer family(message);
    family.add_string(1, name.data(), name.size());
    static constexpr std::int32_t kTypes[] = {3, 4, 5};  // UNTYPED, HISTOGRAM, GAUGE_HISTOGRAM
    family.add_enum(3, kTypes[static_cast<std::size_t>(type)]);
    for (const Sample& sample : samples) add_metric(family, sample);
  }
  protozero::write_varint(std::back_inserter(out), message.size());
  out.append(message);
}

Result<void> collect(ApiCore& core, const Querier& querier, const std::vector<std::vector<Matcher>>& sets,
                     const Context& context, std::vector<Sample>& out) {
  const TimestampMs now = core.deps.clock->now_ms();
  SelectHints hints;
  hints.start = now - core.deps.engine->options().lookback.count();
  hints.end = now;
  std::vector<Labels> seen;
  SampleColumns columns;
  for (const auto& matchers : sets) {
    auto set = querier.select(matchers, hints, context);
    if (!set) return std::unexpected(std::move(set.error()));
    for (std::size_t i = 0; i < (*set)->size(); ++i) {
      if (auto alive = context.check(); !alive) return alive;
      if (auto read = (*set)->read(i, columns); !read) return read;
      Sample sample;
      if (!columns.times.empty()) {
        sample.time = columns.times.back();
        sample.value = columns.values.back();
      }
      if (!columns.histogram_times.empty() && (columns.times.empty() || columns.histogram_times.back() > sample.time)) {
        sample.time = columns.histogram_times.back();
        sample.histogram = columns.histograms.back();
      } else if (columns.times.empty()) {
        continue;
      }
      if (is_stale(sample.histogram ? sample.histogram->sum : sample.value)) continue;
      for (const Label& label : (*set)->labels(i)) {
        if (label.name == kMetricName) {
          sample.name = label.value;
        } else {
          sample.labels.push_back(label);
        }
      }
      if (!sample.name.empty()) out.push_back(std::move(sample));
    }
  }
  const auto order = [](const Sample& a, const Sample& b) {
    return std::tie(a.name, a.labels) < std::tie(b.name, b.labels);
  };
  std::sort(out.begin(), out.end(), order);
  out.erase(std::unique(out.begin(), out.end(),
                        [](const Sample& a, const Sample& b) { return a.name == b.name && a.labels == b.labels; }),
            out.end());
  return {};
}

void attach_external_labels(const std::vector<std::pair<std::string, std::string>>& external,
                            std::vector<Sample>& samples) {
  std::vector<Label> extra;
  bool instance = false;
  for (const auto& [name, value] : external) {
    extra.push_back({name, value});
    instance |= name == "instance";
  }
  // So that the scraping side's own instance label does not name this server's series.
  if (!instance) extra.push_back({"instance", ""});
  std::sort(extra.begin(), extra.end());
  for (Sample& sample : samples) {
    const std::size_t own = sample.labels.size();
    for (const Label& label : extra) {
      const auto same = [&](const Label& known) { return known.name == label.name; };
      if (std::none_of(sample.labels.begin(), sample.labels.begin() + static_cast<std::ptrdiff_t>(own), same)) {
        sample.labels.push_back(label);
      }
    }
  }
}

}  // namespace

bool accepts_delimited_protobuf(std::string_view accept) {
  double protobuf = -1;
  double text = -1;
  for (const std::string_view clause : split(accept, ',')) {
    const auto parts = split(clause, ';');
    const std::string media = to_lower(trim(parts[0]));
    double quality = 1;
    bool family = false;
    bool delimited = false;
    for (std::size_t i = 1; i < parts.size(); ++i) {
      const std::string_view parameter = trim(parts[i]);
      if (parameter.starts_with("q=")) {
        std::from_chars(parameter.data() + 2, parameter.data() + parameter.size(), quality);
      }
      family |= parameter == "proto=io.prometheus.client.MetricFamily";
      delimited |= parameter == "encoding=delimited";
    }
    if (media == "application/vnd.google.protobuf" && family && delimited) protobuf = std::max(protobuf, quality);
    if (media == "text/plain") text = std::max(text, quality);
  }
  return protobuf > 0 && protobuf >= text;
}

std::string render_federation(std::span<const FederatedSample> samples, bool protobuf) {
  std::string out;
  for (std::size_t i = 0; i < samples.size();) {
    // One family per run of the same name and type: a name may change type between series, and the reader copes.
    const FamilyType type = type_of(samples[i]);
    std::size_t end = i;
    while (end < samples.size() && samples[end].name == samples[i].name && type_of(samples[end]) == type) ++end;
    const std::span<const Sample> run = samples.subspan(i, end - i);
    if (protobuf) {
      append_family_protobuf(out, samples[i].name, type, run);
    } else {
      out += "# TYPE ";
      append_name(out, samples[i].name, is_classic_metric_name(samples[i].name));
      out += type == FamilyType::untyped ? " untyped\n" : " histogram\n";
      for (const Sample& sample : run) append_text(out, sample.name, sample);
    }
    i = end;
  }
  return out;
}

Handled handle_federate(ApiCore& core, http::Request& request) {
  auto sets = [&]() -> Result<std::vector<std::vector<Matcher>>> { return matcher_params(request.form()); }();
  if (!sets) co_return http::Response::text(400, sets.error().message + "\n");
  co_await core.deps.queries->schedule();
  auto reading = core.begin(request);
  if (!reading) co_return http::Response::text(503, reading.error().message + "\n");
  std::vector<Sample> samples;
  if (auto done = collect(core, *reading->querier, *sets, reading->query->context(), samples); !done) {
    const Error error = reading->query->cause(done.error());
    co_return http::Response::text(status_of(tocayo::metrics::api::type_of(error.kind, ErrorType::internal)),
                                   error.message + "\n");
  }
  attach_external_labels(core.deps.external_labels, samples);
  const bool protobuf = accepts_delimited_protobuf(request.headers.get("Accept"));
  if (!protobuf) {
    // Text has no form for exponential buckets.
    std::erase_if(samples,
                  [](const Sample& sample) { return sample.histogram && !sample.histogram->uses_custom_buckets(); });
  }
  co_return http::Response::text(200, render_federation(samples, protobuf),
                                 protobuf ? "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; "
                                            "encoding=delimited; escaping=allow-utf-8"
                                          : "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8");
}

}  // namespace tocayo::metrics::api
