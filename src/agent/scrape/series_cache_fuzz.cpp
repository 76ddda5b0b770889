// SPDX-License-Identifier: Apache-2.0
// Bodies of successive scrapes, parted by 0 bytes, through one cache. First byte: format and settings. What must hold:
// rows borrow valid memory (the sanitizers see to that), a scrape writes at most one sample per series without a
// timestamp of its own, the cache stays bounded.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string_view>

#include "agent/scrape/series_cache.h"

namespace {

void use(tocayo::agent::ScrapeRows& rows, tocayo::TimestampMs now) {
  std::set<tocayo::Labels> marked;
  for (auto& row : rows.series) {
    if (row.labels == nullptr || row.labels->empty()) std::abort();
    if (row.floats.size() + row.histograms.size() != 1) std::abort();
    row.ref = row.labels->hash() | 1;
    for (const auto& value : row.floats) {
      bool stale = tocayo::metrics::is_stale(value.value);
      if (stale && value.time == now && !marked.insert(*row.labels).second) std::abort();
    }
    for (const auto& exemplar : row.exemplars) (void)exemplar.labels.hash();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tocayo;
  if (size == 0) return 0;
  agent::ScrapeConfig config;
  config.honor_labels = (data[0] & 4) != 0;
  config.track_timestamps_staleness = (data[0] & 8) != 0;
  config.sample_limit = (data[0] & 16) != 0 ? 3 : 0;
  config.label_limit = (data[0] & 32) != 0 ? 5 : 0;
  config.scrape_native_histograms = (data[0] & 64) != 0;
  config.convert_classic_histograms_to_nhcb = (data[size - 1] & 1) != 0;
  config.always_scrape_classic_histograms = (data[size - 1] & 2) != 0;
  config.native_histogram_bucket_limit = (data[0] & 128) != 0 ? 4 : 0;
  config.native_histogram_min_bucket_factor = config.native_histogram_bucket_limit > 0 ? 1.2 : 0;
  auto format = static_cast<metrics::ExpositionFormat>(data[0] % 3);
  agent::SeriesCache cache(std::make_shared<const agent::ScrapeConfig>(config), {{"job", "j"}, {"instance", "i"}});
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  agent::ScrapeRows rows;
  // Protobuf is full of 0 bytes: the same body again instead.
  bool split = format != metrics::ExpositionFormat::protobuf;
  for (TimestampMs now = 1000; now < 20'000; now += 1000) {
    std::string_view body =
        split ? rest.substr(0, rest.find('\0')) : rest.substr(0, rest.size() - (now / 1000) % 3 % (rest.size() + 1));
    if (!cache.read(body, format, now, rows)) cache.vanish(now, rows);
    cache.add_report("up", now, 1, rows);
    use(rows, now);
    if (now % 3000 != 0) cache.remember(rows);
    if (cache.size() > 1100 + size) std::abort();
    if (split && body.size() >= rest.size()) break;
    if (split) rest.remove_prefix(body.size() + 1);
  }
  cache.vanish(20'000, rows);
  use(rows, 20'000);
  cache.remember(rows);
  cache.vanish(21'000, rows);
  if (!rows.series.empty()) std::abort();
  return 0;
}
