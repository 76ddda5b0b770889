// SPDX-License-Identifier: Apache-2.0
#include "main/agent_gaps.h"

#include <fmt/format.h>

#include "core/time.h"

namespace tocayo {
namespace {

Task<Result<>> record(events::Service& events, std::string tenant, metrics::api::CollectorGap gap) {
  events::Event event;
  event.tenant = std::move(tenant);
  event.time_ms = gap.from;
  event.kind = "collector.gap";
  event.source = "collector";
  const std::string host = gap.host.empty() ? gap.queue : gap.host;
  const std::string from = format_rfc3339(gap.from), to = format_rfc3339(gap.to);
  event.title = fmt::format("{} lost {} rows of {} ({})", host, gap.rows, gap.signal, gap.reason);
  event.detail = fmt::format("Rows from {} to {} will not arrive.", from, to);
  event.labels = {{"collector", host},
                  {"queue", gap.queue},
                  {"signal", gap.signal},
                  {"reason", gap.reason},
                  {"from", from},
                  {"to", to},
                  {"rows", std::to_string(gap.rows)}};
  event.dedup_key = "collector.gap/" + gap.id;
  auto recorded = co_await events.record_now(std::move(event));
  if (!recorded) co_return std::unexpected(std::move(recorded.error()));
  co_return Result<>();
}

}  // namespace

metrics::api::GapRecorder gap_recorder(events::Service& events) {
  return [&events](std::string tenant, metrics::api::CollectorGap gap) {
    return record(events, std::move(tenant), std::move(gap));
  };
}

}  // namespace tocayo
