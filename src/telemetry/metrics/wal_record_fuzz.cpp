// SPDX-License-Identifier: Apache-2.0
// Journal records on arbitrary bytes, and the promise that what decodes encodes to something that decodes to the same.
#include <bit>
#include <cstdlib>
#include <string>
#include <vector>

#include "metrics/wal_record.h"

namespace {

using namespace tocayo;
using namespace tocayo::metrics;

struct Collector final : WalVisitor {
  std::string name;
  std::vector<std::pair<SeriesId, Row>> rows;
  std::vector<std::pair<SeriesId, HistRow>> histograms;
  std::vector<std::pair<SeriesId, Labels>> defined;
  void tenant(std::string_view text) override { name = text; }
  void series(SeriesId id, Labels labels) override { defined.emplace_back(id, std::move(labels)); }
  void row(SeriesId id, const Row& r) override { rows.emplace_back(id, r); }
  void histogram(SeriesId id, const HistRow& r) override { histograms.emplace_back(id, r); }
  void exemplar(SeriesId, ExemplarRow) override {}
  void metadata(MetadataRow) override {}
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Collector first;
  if (!decode_wal_record({reinterpret_cast<const char*>(data), size}, first)) return 0;
  WalEncoder encoder;
  encoder.begin(first.name);
  for (const auto& [id, labels] : first.defined) encoder.series(id, labels);
  for (const auto& [id, row] : first.rows) encoder.row(id, row);
  for (const auto& [id, row] : first.histograms) encoder.histogram(id, row);
  Collector second;
  if (!decode_wal_record(encoder.finish(), second)) std::abort();
  if (first.rows.size() != second.rows.size() || first.defined != second.defined) std::abort();
  for (std::size_t i = 0; i < first.rows.size(); ++i) {
    const Row& a = first.rows[i].second;
    const Row& b = second.rows[i].second;
    if (first.rows[i].first != second.rows[i].first || a.time != b.time || a.start != b.start ||
        std::bit_cast<std::uint64_t>(a.value) != std::bit_cast<std::uint64_t>(b.value)) {
      std::abort();
    }
  }
  if (first.histograms.size() != second.histograms.size()) std::abort();
  for (std::size_t i = 0; i < first.histograms.size(); ++i) {
    if (!same_histogram(*first.histograms[i].second.histogram, *second.histograms[i].second.histogram)) std::abort();
  }
  return 0;
}
