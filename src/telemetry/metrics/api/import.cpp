// SPDX-License-Identifier: Apache-2.0
// POST /api/v1/import/prometheus: a body in an exposition format, as if it had been scraped once.
#include <fmt/format.h>

#include <charconv>

#include "metrics/api/push_internal.h"
#include "metrics/exposition_protobuf.h"
#include "metrics/exposition_text.h"

namespace tocayo::metrics::api {

namespace {

struct ImportParameters {
  TimestampMs time = 0;  // of samples that carry none
  std::vector<std::pair<std::string, std::string>> extra_labels;
};

Result<ImportParameters> read_parameters(const http::Params& params, TimestampMs now) {
  ImportParameters out;
  out.time = now;
  if (const std::string_view text = params.get_or("timestamp", ""); !text.empty()) {
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), out.time);
    if (problem != std::errc{} || end != text.data() + text.size()) {
      return fail(ErrorKind::bad_input,
                  fmt::format("invalid parameter \"timestamp\": {} is not a number of milliseconds", go_quote(text)));
    }
  }
  for (const std::string_view pair : params.all("extra_label")) {
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      return fail(ErrorKind::bad_input,
                  fmt::format("invalid parameter \"extra_label\": {} is not name=value", go_quote(pair)));
    }
    out.extra_labels.emplace_back(pair.substr(0, equals), pair.substr(equals + 1));
  }
  return out;
}

// Rows out of the entries of either parser.
class Importer {
 public:
  Importer(const ImportParameters& parameters, IngestRows& rows) : parameters_(parameters), rows_(rows) {}

  template <typename Parser>
  void begin(const Parser& parser) {
    rows_.begin_series();
    rows_.label({kMetricName, parser.name()});
    for (const ExpositionLabel& label : parser.labels()) {
      if (!overridden(label.name)) rows_.label({label.name, label.value});
    }
    for (const auto& [name, value] : parameters_.extra_labels) rows_.label({name, value});
  }

  template <typename Parser>
  TimestampMs time_of(const Parser& parser) const {
    return parser.time().value_or(parameters_.time);
  }

  void exemplar(const ExpositionExemplar& exemplar, TimestampMs otherwise) {
    exemplar_labels_.clear();
    for (const ExpositionLabel& label : exemplar.labels) exemplar_labels_.push_back({label.name, label.value});
    rows_.exemplar(exemplar_labels_, exemplar.value, exemplar.time.value_or(otherwise));
  }

  // Lines about a family; its row of metadata is written when the next family begins.
  void help(std::string_view family, std::string_view text) {
    enter(family);
    help_ = text;
  }
  void type(std::string_view family, std::string_view text) {
    enter(family);
    type_ = text;
  }
  void unit(std::string_view family, std::string_view text) {
    enter(family);
    unit_ = text;
  }
  void flush() {
    if (!family_.empty()) rows_.metadata(family_, type_.empty() ? "unknown" : type_, help_, unit_);
    family_.clear();
  }

 private:
  bool overridden(std::string_view name) const {
    for (const auto& [extra, value] : parameters_.extra_labels) {
      if (extra == name) return true;
    }
    return false;
  }
  void enter(std::string_view family) {
    if (family == family_) return;
    flush();
    family_ = family;
    type_.clear();
    help_.clear();
    unit_.clear();
  }

  const ImportParameters& parameters_;
  IngestRows& rows_;
  std::vector<LabelView> exemplar_labels_;
  std::string family_, type_, help_, unit_;
};

Result<> decode_text(std::string_view body, bool openmetrics, Importer& importer, IngestRows& rows) {
  ExpositionTextParser parser(body, {.openmetrics = openmetrics, .created_as_start_time = openmetrics});
  for (;;) {
    switch (TRY(parser.next())) {
      case ExpositionEvent::end: importer.flush(); return {};
      case ExpositionEvent::help: importer.help(parser.family(), parser.text()); break;
      case ExpositionEvent::type: importer.type(parser.family(), parser.text()); break;
      case ExpositionEvent::unit: importer.unit(parser.family(), parser.text()); break;
      case ExpositionEvent::comment: break;
      case ExpositionEvent::histogram: break;  // text has none
      case ExpositionEvent::sample: {
        importer.begin(parser);
        const TimestampMs time = importer.time_of(parser);
        rows.sample(time, parser.value(), parser.start_time());
        if (const ExpositionExemplar* exemplar = parser.exemplar()) importer.exemplar(*exemplar, time);
        rows.end_series();
        break;
      }
    }
  }
}

Result<> decode_protobuf(std::string_view body, Importer& importer, IngestRows& rows) {
  ExpositionProtobufParser parser(body, {});
  for (;;) {
    switch (TRY(parser.next())) {
      case ExpositionEvent::end: importer.flush(); return {};
      case ExpositionEvent::help: importer.help(parser.family(), parser.text()); break;
      case ExpositionEvent::type: importer.type(parser.family(), parser.text()); break;
      case ExpositionEvent::unit: importer.unit(parser.family(), parser.text()); break;
      case ExpositionEvent::comment: break;
      case ExpositionEvent::sample:
      case ExpositionEvent::histogram: {
        importer.begin(parser);
        const TimestampMs time = importer.time_of(parser);
        if (const HistogramParts* parts = parser.histogram()) {
          rows.histogram(time, *parts, parser.start_time());
        } else {
          rows.sample(time, parser.value(), parser.start_time());
        }
        for (const ExpositionExemplar& exemplar : parser.exemplars()) importer.exemplar(exemplar, time);
        rows.end_series();
        break;
      }
    }
  }
}

}  // namespace

Task<http::Response> PushHandler::import_text(http::Request& request) {
  auto parameters = read_parameters(request.query, clock_.now_ms());
  if (!parameters) co_return refusal(request, 400, parameters.error().message);
  const std::string_view content_type = request.headers.get("Content-Type");
  // Anything else (curl sends application/x-www-form-urlencoded) is taken for plain text.
  const ExpositionFormat format = exposition_format(content_type).value_or(ExpositionFormat::text);

  Inflight inflight(*this);
  if (auto over = inflight.admit(2 * request.body.size()); !over.empty()) co_return refusal(request, 503, over);
  const std::shared_ptr<Tenant> shared_tenant = this->tenant(request.identity.tenant);
  Tenant& tenant = *shared_tenant;
  tenant.requests_in.add();
  const ApiLimits limits = limits_(request.identity.tenant);
  if (auto refused = check_request_rate(request, tenant, limits)) co_return std::move(*refused);

  co_await compute_.schedule();
  auto arena = take_arena();
  arena->rows.reset(limits.ingest, clock_.now_ms(), tenant.name);
  Importer importer(*parameters, arena->rows);
  auto decoded = format == ExpositionFormat::protobuf
                     ? decode_protobuf(request.body, importer, arena->rows)
                     : decode_text(request.body, format == ExpositionFormat::openmetrics, importer, arena->rows);
  http::Response response =
      decoded ? co_await store(request, tenant, limits, *arena) : refusal(request, 400, decoded.error().message);
  return_arena(std::move(arena));
  co_return response;
}

}  // namespace tocayo::metrics::api
