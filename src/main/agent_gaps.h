// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "events/service.h"
#include "metrics/api/sequence.h"

namespace tocayo {

// What collectors lost becomes events of kind "collector.gap", at the time of the first lost row, with the labels
// collector (the host), queue, signal, reason, rows, from and to (RFC 3339). A gap told twice is one event.
metrics::api::GapRecorder gap_recorder(events::Service& events);

}  // namespace tocayo
