// SPDX-License-Identifier: Apache-2.0
// The stages of a LogQL query, compiled once and run over rows: parsers, filters, formatters, and for metric queries
// the labels and the number that a row contributes. Source of the rules: specs of Loki (see README.md of this folder).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/labels.h"
#include "core/time.h"
#include "logql/syntax/ast.h"
#include "logs/entry.h"

namespace tocayo::logql {

inline constexpr std::string_view kErrorLabel = "__error__";
inline constexpr std::string_view kErrorDetailsLabel = "__error_details__";

// The labels of a row after the pipeline. Values may be empty (`json x="absent"` gives an empty label), which is why
// these are not Labels. Each list is sorted by name; a name occurs in one category only.
struct LabelResult {
  std::vector<Label> all;       // every category
  std::vector<Label> stream;    // what is left of the stream's labels
  std::vector<Label> metadata;  // structured metadata
  std::vector<Label> parsed;    // made by the pipeline, __error__ and __error_details__ included
  std::uint64_t hash = 0;       // of `all`, stable across runs: equal label sets have equal hashes
  std::uint32_t id = 0;         // dense number of this set within its Processor, from 0
  bool error = false;           // __error__ is set

  // `all` without empty values: what a series is called.
  Labels labels() const;
  // The value of __error__, or "".
  std::string_view error_name() const;
};

// The number that an unwrapped label value is; bad_input when it is none, with Go's words.
Result<double> unwrap_value(Unwrap::Conversion conversion, std::string_view text);

// Which labels of a row end up in the result; for metric queries whose (range or only) aggregation says so.
// Absent: all. `by ()`: none. A row with an error always keeps all its labels, so that the error can be told.
struct PipelineOptions {
  std::optional<Grouping> grouping;
  // Metric queries: a row without the label gives no sample, the label is left out of the result, filters come last.
  const Unwrap* unwrap = nullptr;
  // Let parsers skip what no later stage and no result can see, and drop a row as soon as a filter that directly
  // follows is known to fail. Off only for tests: the result is the same, except that a parser that may stop early
  // does not report damage behind the last label it had to find (as Loki).
  bool hints = true;
};

// A compiled pipeline. Immutable, cheap to copy, thread-safe. Each thread runs it through a Processor of its own.
class Pipeline {
 public:
  // bad_input: a regular expression, pattern, template, path or address does not compile; the message begins with
  // `parse error at line L, col C: ` and has Loki's wording. `stages` and `options.unwrap` are not used afterwards.
  static Result<Pipeline> compile(std::span<const Stage> stages, const PipelineOptions& options = {});

  // No stage can change or drop a row (metadata still becomes labels).
  bool passes_everything() const;
  // Whether the text of the line is looked at by a stage (a caller that only counts need not fetch it otherwise).
  bool needs_line() const;

 private:
  friend class Processor;
  struct Program;
  explicit Pipeline(std::shared_ptr<const Program> program) : program_(std::move(program)) {}
  std::shared_ptr<const Program> program_;  // shared: one program, a processor a thread
};

// One thread's run of a pipeline. In the steady state (label sets seen before) a row costs no heap allocation.
class Processor {
 public:
  explicit Processor(Pipeline pipeline);
  Processor(Processor&&) noexcept;
  Processor& operator=(Processor&&) noexcept;
  ~Processor();

  // The stream of the following rows. `labels` must live until the next set_stream() or the end of the processor.
  void set_stream(const Labels& labels);

  // Runs the stages. false: the row is dropped (by a filter, or it has nothing to unwrap). Needs set_stream().
  // `line` and `metadata` must stay valid until labels() was called.
  bool process(TimestampNs time, std::string_view line, std::span<const logs::LabelView> metadata);

  // Of the row that process() last kept.
  std::string_view line() const;  // valid until the next process()
  double value() const;           // the unwrapped number; 1 without unwrap
  // Computed on the first call after process(). The same set gives the same object until forget().
  const std::shared_ptr<const LabelResult>& labels();

  // Roughly the memory of the remembered label sets; forget() gives it back (ids begin again at 0).
  std::size_t memory_bytes() const;
  void forget();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tocayo::logql
