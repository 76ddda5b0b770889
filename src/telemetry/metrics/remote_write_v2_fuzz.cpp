// SPDX-License-Identifier: Apache-2.0
// Remote write 2.0: any bytes are refused or decoded to rows that hold what the store relies on.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "metrics/remote_write.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tocayo;
  using namespace tocayo::metrics;
  static IngestRows rows;
  IngestLimits limits;
  limits.max_label_names_per_series = 30;
  limits.max_native_histogram_buckets = 160;
  rows.reset(limits, 1'700'000'000'000);
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  if (!decode_remote_write(RemoteWriteVersion::v2, body, rows)) return 0;
  for (const SeriesRows& series : rows.batch().series) {
    if (!series.labels->has(kMetricName)) std::abort();
    for (std::size_t i = 1; i < series.labels->size(); ++i) {
      if ((*series.labels)[i - 1].name >= (*series.labels)[i].name) std::abort();
    }
    for (const HistogramRow& row : series.histograms) {
      if (!is_stale(row.histogram->sum) && !row.histogram->validate()) std::abort();
    }
  }
  return 0;
}
