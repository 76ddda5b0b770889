// SPDX-License-Identifier: Apache-2.0
// A Scan over heads and segments of one view. Internal to the room.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "logs/querier.h"
#include "logs/store/pattern_tally.h"
#include "logs/store/tenant.h"

namespace tocayo::logs {

// Whether the rows of a stream (by its label bytes as they are stored) are wanted at all; empty: all are.
using StreamChoice = std::function<bool(std::string_view stored_labels)>;

Result<std::unique_ptr<Scan>> make_scan(std::shared_ptr<Tenant> tenant, std::shared_ptr<const View> view,
                                        std::shared_ptr<const TenantLimits> limits, TimestampNs now,
                                        const Selection& selection, const Context& context,
                                        const StreamChoice& choice = {});

// Counts the kind of each line that the selection chooses: its template with <_> for what varies. On `selection.pool`
// too if given. What row groups as a whole add is kept in `cache`, under the selection's matchers and the step.
Result<> scan_patterns(std::shared_ptr<Tenant> tenant, std::shared_ptr<const View> view,
                       std::shared_ptr<const TenantLimits> limits, TimestampNs now, const Selection& selection,
                       const Context& context, PatternTally& tally, PatternCache& cache);

// The warning for a segment that cannot be read.
std::string unreadable(const SegmentEntry& entry, const Error& error);

// Streams of the view's heads that match, one per head; without the spilled ones.
void for_each_head_stream(Tenant& tenant, const View& view, std::span<const Matcher> matchers,
                          const std::function<void(const Head&, const HeadStream&)>& visit);
// Spilled streams of the view's heads whose shared labels match.
using SpilledStreamVisit = std::function<void(const Head&, const HeadStream&, const SpilledStream&)>;
void for_each_spilled_head_stream(Tenant& tenant, const View& view, std::span<const Matcher> matchers,
                                  const SpilledStreamVisit& visit);

}  // namespace tocayo::logs
