// SPDX-License-Identifier: Apache-2.0
#include "logs/querier.h"

namespace tocayo::logs {

void ScanStats::add(const ScanStats& other) {
  rows += other.rows;
  bytes += other.bytes;
  metadata_bytes += other.metadata_bytes;
  rows_selected += other.rows_selected;
  bytes_read += other.bytes_read;
  segments += other.segments;
  groups += other.groups;
  groups_skipped += other.groups_skipped;
  head_rows += other.head_rows;
}

}  // namespace tocayo::logs
