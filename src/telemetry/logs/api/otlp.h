// SPDX-License-Identifier: Apache-2.0
// OpenTelemetry logs over HTTP (opentelemetry-proto, collector/logs/v1): protobuf and JSON bodies to rows. Which
// attributes become labels of the stream and which structured metadata are Loki's rules and the tenant's otlp_config.
#pragma once

#include <string>
#include <string_view>

#include "core/error.h"
#include "logs/api/limits.h"
#include "logs/api/push_rows.h"

namespace tocayo::logs::api {

// `body` is the decompressed ExportLogsServiceRequest; everything is copied. `now` is the time of a record that has
// none; `unnamed` the service_name of records that have no labels, empty: they stay without. bad_input when it is
// damaged.
Result<> decode_otlp(std::string_view body, bool json, const OtlpRules& rules, TimestampNs now, PushRows& rows,
                     std::string_view unnamed = {});

// A name of OpenTelemetry as a label name: what is no letter, digit or underscore becomes `_`; in front of a leading
// digit `key_`.
std::string label_name_of(std::string_view attribute);

}  // namespace tocayo::logs::api
