// SPDX-License-Identifier: Apache-2.0
// Delimited io.prometheus.client.MetricFamily, as Prometheus scrapes it: a pull parser with the shape of
// ExpositionTextParser. Classic histograms and summaries come as the samples that the text format would have (_count,
// _sum, _bucket{le}, {quantile}), native histograms as one `histogram` entry each.
//
// What it returns are views into the body or into buffers of the parser, valid until the next call of next(). Not
// thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/time.h"
#include "metrics/exposition_text.h"
#include "metrics/ingest_histogram.h"

namespace tocayo::metrics {

struct ExpositionProtobufOptions {
  // Metrics that are native histograms and have classic buckets as well: also return the classic samples
  // (scrape_config's always_scrape_classic_histograms).
  bool classic_too = false;
  bool ignore_native = false;  // classic samples only
};

class ExpositionProtobufParser {
 public:
  ExpositionProtobufParser(std::string_view body, ExpositionProtobufOptions options);

  // Order per family: help, type, unit (when given), then its metrics. bad_input names the family and its place in the
  // body.
  Result<ExpositionEvent> next();

  std::string_view family() const { return family_.name; }
  std::string_view text() const { return text_; }  // of help, type, unit

  // sample and histogram.
  std::string_view name() const { return name_; }
  // Without the name; `le` and `quantile` come last, in OpenMetrics' number form.
  std::span<const ExpositionLabel> labels() const { return labels_; }
  // Unambiguous bytes of name and labels: equal for equal series, scrape after scrape.
  std::string_view series() const { return series_; }
  double value() const { return value_; }
  // Set exactly for ExpositionEvent::histogram; not yet checked (check_histogram).
  const HistogramParts* histogram() const { return is_histogram_ ? &parts_ : nullptr; }
  std::optional<TimestampMs> time() const { return metric_.time; }
  TimestampMs start_time() const { return metric_.start_time; }
  // At most one per sample; of native histograms all that have a timestamp.
  std::span<const ExpositionExemplar> exemplars() const { return exemplars_; }

 private:
  enum class Type : unsigned char { counter, gauge, summary, untyped, histogram, gauge_histogram };
  struct Family {
    std::string_view name, help, unit;
    Type type = Type::counter;
    std::size_t offset = 0;  // of the message in the body
    std::vector<std::string_view> metrics;
  };
  struct Bucket {
    double bound = 0, count = 0;
    std::string_view exemplar;
  };
  struct Metric {
    std::optional<TimestampMs> time;
    TimestampMs start_time = 0;
    double value = 0;
    double count = 0, sum = 0;
    std::string_view exemplar;                // of a counter
    std::vector<Bucket> buckets;              // classic, or quantiles of a summary
    std::vector<std::string_view> exemplars;  // of a native histogram
    bool has_inf = false;
    bool native = false;
  };

  // Parts of a metric in the order they are returned.
  enum class Part : unsigned char { native, count, sum, bucket, inf_bucket, done };

  Result<bool> next_family();
  void read_family(std::string_view message);
  void read_metric(std::string_view message);
  void read_histogram(std::string_view message);
  void read_summary(std::string_view message);
  void read_exemplar(std::string_view message, bool need_time);
  Part first_part() const;
  Part part_after(Part part) const;
  Result<ExpositionEvent> emit();
  void set_series(std::string_view suffix, std::string_view bound_label, double bound);
  Error located(std::string_view what) const;

  std::string_view body_;
  ExpositionProtobufOptions options_;
  std::size_t at_ = 0;
  bool finished_ = false;

  Family family_;
  enum class Stage : unsigned char { family, help, type, unit, metrics } stage_ = Stage::family;
  std::size_t metric_index_ = 0;
  bool metric_open_ = false;
  Part part_ = Part::done;
  std::size_t bucket_ = 0;

  Metric metric_;
  HistogramParts parts_;
  bool is_histogram_ = false;
  std::string_view text_, name_;
  double value_ = 0;
  std::vector<ExpositionLabel> metric_labels_, labels_;
  std::string name_buffer_, bound_buffer_, series_;
  std::vector<ExpositionExemplar> exemplars_;
};

}  // namespace tocayo::metrics
