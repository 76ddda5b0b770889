// SPDX-License-Identifier: Apache-2.0
// Text exposition 0.0.4 and OpenMetrics 1.0, as Prometheus 3 reads them (UTF-8 names in quotes included): a pull parser
// over a body in memory. What it returns are views into the body, or into a buffer of the parser where escapes had to
// be undone; both are valid until the next call of next(). Nothing is allocated per line once the buffers have grown.
//
//   ExpositionTextParser parser(body, {.openmetrics = true});
//   for (;;) {
//     auto event = parser.next();
//     if (!event) return event.error();          // "line 3, column 7: …"
//     if (*event == ExpositionEvent::end) break;
//     if (*event == ExpositionEvent::sample) use(parser.name(), parser.labels(), parser.value());
//   }
//
// Not thread-safe. The body must outlive the parser.
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

namespace tocayo::metrics {

// `histogram`: a native histogram (protobuf only).
enum class ExpositionEvent : unsigned char { end, help, type, unit, comment, sample, histogram };

enum class ExpositionFormat : unsigned char { text, openmetrics, protobuf };
// Of a Content-Type header: text/plain, application/openmetrics-text, application/vnd.google.protobuf (delimited
// MetricFamily). nullopt for anything else, or when there is none.
std::optional<ExpositionFormat> exposition_format(std::string_view content_type);

// OpenMetrics' form of a number in a label: "1.0", "0.25", "1e+06", "+Inf".
std::string openmetrics_number(double value);

struct ExpositionLabel {
  std::string_view name;
  std::string_view value;
};

struct ExpositionExemplar {
  std::vector<ExpositionLabel> labels;
  double value = 0;
  std::optional<TimestampMs> time;
};

struct ExpositionTextOptions {
  bool openmetrics = false;
  // OpenMetrics: `_created` samples of counters, histograms and summaries are not returned as samples of their own but
  // become start_time() of the samples they belong to. Off, they are samples like any other (Prometheus' default).
  bool created_as_start_time = false;
};

class ExpositionTextParser {
 public:
  ExpositionTextParser(std::string_view body, ExpositionTextOptions options);

  // The next entry, `end` after the last one (OpenMetrics: only behind "# EOF"), or bad_input with line and column of
  // the place.
  Result<ExpositionEvent> next();

  // help, type, unit: the family it is about, and its text with escapes undone. The type is one of counter gauge
  // histogram gaugehistogram summary info stateset unknown ("untyped" of the text format reads as unknown).
  std::string_view family() const { return family_; }
  std::string_view text() const { return text_; }

  // sample: as written, `name{labels}` without value: the same bytes mean the same series, scrape after scrape.
  std::string_view series() const { return series_; }
  std::string_view name() const { return name_; }
  // Without the name; in the order written; `le` and `quantile` of histograms and summaries in OpenMetrics' number form
  // ("1.0").
  std::span<const ExpositionLabel> labels() const { return labels_; }
  double value() const { return value_; }
  std::optional<TimestampMs> time() const { return time_; }
  TimestampMs start_time() const { return start_time_; }  // 0 = unknown
  const ExpositionExemplar* exemplar() const { return has_exemplar_ ? &exemplar_ : nullptr; }

 private:
  enum class Type : unsigned char { unknown, counter, gauge, histogram, gaugehistogram, summary, info, stateset };

  Result<ExpositionEvent> next_text();
  Result<ExpositionEvent> next_openmetrics();
  Result<ExpositionEvent> metadata(std::string_view keyword);
  Result<> metadata_name(std::string_view keyword);
  Result<ExpositionEvent> sample();
  Result<> labels_text();
  Result<> labels_openmetrics(std::vector<ExpositionLabel>& out, bool exemplar);
  Result<> label_pair(std::string_view name, std::vector<ExpositionLabel>& out);
  Result<std::string_view> quoted(bool newline_allowed);
  Result<> end_of_sample_text();
  Result<> end_of_sample_openmetrics();
  Result<> read_exemplar();
  Result<double> number(std::string_view token, std::size_t at) const;
  Result<TimestampMs> openmetrics_time(std::string_view token, std::size_t at) const;
  void normalize_bounds();
  void find_start_time();
  std::uint64_t series_identity(std::string_view name) const;
  bool is_created_sample() const;

  bool at_end() const { return at_ >= body_.size(); }
  char peek() const { return at_ < body_.size() ? body_[at_] : '\0'; }
  void skip_blanks();
  std::string_view take_classic_name(bool colon);
  std::string_view unescape(std::string_view raw, bool quotes);
  std::unexpected<Error> error(std::size_t at, std::string_view what) const;

  std::string_view body_;
  ExpositionTextOptions options_;
  std::size_t at_ = 0;
  bool finished_ = false;

  // Text of the current entry that is not in the body as it is. Blocks never move, so that views into them stay good.
  class Arena {
   public:
    void clear();
    // `size` bytes, to be written at once and then given back in part.
    char* reserve(std::size_t size);
    std::string_view commit(std::size_t size);

   private:
    std::vector<std::vector<char>> blocks_;
    std::size_t block_ = 0, used_ = 0;
  };
  Arena arena_;
  std::string_view family_, text_, series_, name_;
  bool name_set_ = false;
  Type type_ = Type::unknown;
  std::vector<ExpositionLabel> labels_;
  double value_ = 0;
  std::optional<TimestampMs> time_;
  ExpositionExemplar exemplar_;
  bool has_exemplar_ = false;

  TimestampMs start_time_ = 0;
  bool peeking_ = false;
  std::uint64_t start_identity_ = 0;  // whose start time is known; 0: nobody's
  TimestampMs known_start_ = 0;
  bool family_without_created_ = false;
};

}  // namespace tocayo::metrics
