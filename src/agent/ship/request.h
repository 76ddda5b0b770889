// SPDX-License-Identifier: Apache-2.0
// From queued rows to the body of a remote-write request (1.0 prometheus.WriteRequest, 2.0
// io.prometheus.write.v2.Request).
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/ship/record.h"
#include "metrics/remote_write.h"

namespace tocayo::agent {

// Some rows of one series of a record, which must outlive it.
struct Item {
  const RecordRows* rows = nullptr;
  std::uint32_t series = 0;
  std::uint32_t float_begin = 0, float_count = 0;  // indices into rows->floats …
  std::uint32_t histogram_begin = 0, histogram_count = 0;
  std::uint32_t exemplar_begin = 0, exemplar_count = 0;

  std::size_t size() const { return samples() + exemplar_count; }
  std::size_t samples() const { return std::size_t{float_count} + histogram_count; }
  // In how many pieces it can be cut: exemplars go with samples, since 2.0 wants no series without.
  std::size_t weight() const { return samples() > 0 ? samples() : (exemplar_count > 0 ? 1 : 0); }
  // The first `count` (at least 1) pieces, floats before histograms, leave this item and are returned. Exemplars leave
  // with the last of them.
  Item take_front(std::size_t count);
  // Oldest and newest time of its rows, merged into the arguments.
  void extend(TimestampMs& min_time, TimestampMs& max_time) const;
};

// Metadata by metric family name, for 2.0, which sends it with each series.
using MetadataTable = std::map<std::string, metrics::MetadataRow, std::less<>>;

// Bodies before compression.
std::string encode_request(metrics::RemoteWriteVersion version, std::span<const Item> items,
                           const MetadataTable& metadata);
// 1.0 only: a request of metadata alone.
std::string encode_metadata_request(std::span<const metrics::MetadataRow> rows);

// Content-Type and X-Prometheus-Remote-Write-Version of the version.
std::string_view content_type(metrics::RemoteWriteVersion version);
std::string_view version_header(metrics::RemoteWriteVersion version);

}  // namespace tocayo::agent
