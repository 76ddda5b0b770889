// SPDX-License-Identifier: Apache-2.0
// The envelope of Prometheus' API: {"status","data","errorType","error","warnings","infos"}, and the map from errors to
// it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "http/message.h"
#include "metrics/api/json.h"

namespace tocayo::metrics::api {

enum class ErrorType : unsigned char {
  bad_data,
  execution,
  canceled,
  timeout,
  internal,
  unavailable,
  not_found,
  not_acceptable,
  too_many_requests,
  too_large_entry,
};
std::string_view name_of(ErrorType type);
int status_of(ErrorType type);

// What an error of an engine or of the store is called in the API. bad_input becomes `otherwise`: execution while a
// query runs, bad_data where the request itself is read.
ErrorType type_of(ErrorKind kind, ErrorType otherwise);

http::Response error_response(ErrorType type, std::string_view message);
// bad_input is bad_data.
http::Response error_response(const Error& error);

// Writes `,"warnings":[…],"infos":[…]}`, the end of the envelope that `{"status":"success","data":…` began.
void end_envelope(JsonWriter& writer, const std::vector<std::string>& warnings, const std::vector<std::string>& infos);
inline constexpr std::string_view kEnvelopeStart = R"({"status":"success","data":)";

// A whole small answer. `data` is JSON.
http::Response data_response(std::string_view data, const std::vector<std::string>& warnings = {});
http::Response json_body(JsonWriter writer, int status = 200);

inline constexpr std::string_view kTruncated = "results truncated due to limit";

}  // namespace tocayo::metrics::api
