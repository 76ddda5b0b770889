// SPDX-License-Identifier: Apache-2.0
// Shared by the fuzz targets of both protocols: what is decoded keeps what the store relies on, and is the same when
// the series were sent before.
#pragma once

#include <bit>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "metrics/remote_write.h"

namespace tocayo::metrics::fuzz {

inline void require(bool condition) {
  if (!condition) std::abort();
}

inline void check_batch(const AppendBatch& batch) {
  for (const SeriesRows& series : batch.series) {
    require(series.labels->has(kMetricName));
    for (std::size_t i = 1; i < series.labels->size(); ++i)
      require((*series.labels)[i - 1].name < (*series.labels)[i].name);
    for (const HistogramRow& row : series.histograms)
      require(is_stale(row.histogram->sum) || row.histogram->validate().has_value());
  }
}

inline void same_rows(const AppendBatch& a, IngestRows& known, const AppendBatch& b) {
  require(a.series.size() == b.series.size());
  for (std::size_t i = 0; i < a.series.size(); ++i) {
    const SeriesRows& left = a.series[i];
    const SeriesRows& right = b.series[i];
    const Labels* labels = right.labels != nullptr ? right.labels : known.labels(i);
    require(labels != nullptr && *labels == *left.labels);
    require(left.floats.size() == right.floats.size() && left.histograms.size() == right.histograms.size() &&
            left.exemplars.size() == right.exemplars.size());
    for (std::size_t k = 0; k < left.floats.size(); ++k) {
      require(left.floats[k].time == right.floats[k].time && std::bit_cast<std::uint64_t>(left.floats[k].value) ==
                                                                 std::bit_cast<std::uint64_t>(right.floats[k].value));
    }
  }
  require(a.metadata.size() == b.metadata.size());
}

inline void same_judgement(const IngestRows& a, const IngestRows& b) {
  const auto& left = a.rejections();
  const auto& right = b.rejections();
  require(left.failed() == right.failed() && left.reasons().size() == right.reasons().size());
  for (std::size_t i = 0; i < left.reasons().size(); ++i) {
    require(left.reasons()[i].name == right.reasons()[i].name && left.reasons()[i].count == right.reasons()[i].count);
  }
  if (left.failed()) require(left.first_error()->message == right.first_error()->message);
  require(a.samples_received() == b.samples_received() && a.histograms_received() == b.histograms_received() &&
          a.exemplars_received() == b.exemplars_received() && a.metadata_received() == b.metadata_received() &&
          a.unsorted_series() == b.unsorted_series());
}

inline void run(RemoteWriteVersion version, const std::uint8_t* data, std::size_t size) {
  constexpr TimestampMs kNow = 1'700'000'000'000;
  static IngestRows plain;
  static IngestRows known;
  static RemoteWriteDecoder plain_decoder;
  static RemoteWriteDecoder decoder;
  IngestLimits limits;
  limits.max_label_names_per_series = 30;
  limits.max_native_histogram_buckets = 160;
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  plain.reset(limits, kNow);
  const bool good = plain_decoder.decode(version, body, plain).has_value();
  if (good) check_batch(plain.batch());

  SeriesCache cache;
  for (int round = 0; round < 2; ++round) {
    known.reset(limits, kNow);
    std::uint64_t generation = 0;
    {
      auto lookup = cache.begin(limits);
      generation = lookup.generation();
      require(decoder.decode(version, body, known, &lookup).has_value() == good);
    }
    if (!good) return;
    const AppendBatch batch = known.batch();
    same_rows(plain.batch(), known, batch);
    same_judgement(plain, known);
    for (std::size_t i = 0; i < batch.series.size(); ++i) {
      if (batch.series[i].ref == 0) batch.series[i].ref = i + 1;
    }
    cache.learn(generation, known.seen());
  }
}

}  // namespace tocayo::metrics::fuzz
