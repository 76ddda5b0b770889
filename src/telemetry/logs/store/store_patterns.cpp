// SPDX-License-Identifier: Apache-2.0
// Pattern queries and the dry run of retention: both look over what a selection chooses.
#include <algorithm>
#include <limits>
#include <map>

#include "logs/store/store_impl.h"
#include "logs/store/store_scan.h"

namespace tocayo::logs {
Result<std::vector<Pattern>> StoreImpl::patterns(std::string_view name, const Selection& selection, TimestampNs step,
                                                 std::size_t limit, const Context& context) {
  auto tenant = find_tenant(name);
  if (!tenant) return std::vector<Pattern>();
  if (step <= 0) return fail(ErrorKind::bad_input, "the step of a pattern query must be positive");
  Selection whole = selection;
  whole.want_line = whole.want_metadata = true;
  PatternTally tally(step);
  TRY(scan_patterns(tenant, tenant->view(), limits_of(name), now_ns(), whole, context, tally, patterns_kept_));
  std::vector<Pattern> out;
  for (const PatternTally::Entry* entry : tally.sorted(limit)) {
    Pattern& pattern = out.emplace_back();
    pattern.text = entry->pattern;
    pattern.level = entry->level;
    pattern.samples.assign(entry->samples.begin(), entry->samples.end());
  }
  return out;
}

Result<std::vector<RetentionPreview>> StoreImpl::preview_retention(std::string_view name, const TenantLimits& limits,
                                                                   const Context& context) {
  auto tenant = find_tenant(name);
  std::vector<RetentionPreview> out;
  if (!tenant) return out;
  // What is visible now less what would be visible under the new rules.
  const auto current = make_querier(tenant, limits_of(name), now_ns());
  const auto under = make_querier(tenant, std::make_shared<const TenantLimits>(limits), now_ns());
  constexpr TimestampNs kFirst = std::numeric_limits<TimestampNs>::min();
  constexpr TimestampNs kLast = std::numeric_limits<TimestampNs>::max();
  auto before = TRY(current->volume({}, kFirst, kLast, context));
  auto after = TRY(under->volume({}, kFirst, kLast, context));
  std::map<Labels, StreamVolume> kept;
  for (StreamVolume& volume : after) kept.emplace(volume.labels, std::move(volume));
  for (const StreamVolume& volume : before) {
    auto found = kept.find(volume.labels);
    const std::uint64_t rows = found == kept.end() ? 0 : std::min(found->second.rows, volume.rows);
    const std::uint64_t bytes = found == kept.end() ? 0 : std::min(found->second.bytes, volume.bytes);
    if (volume.rows > rows) out.push_back({volume.labels, volume.rows - rows, volume.bytes - bytes});
  }
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  return out;
}

}  // namespace tocayo::logs
