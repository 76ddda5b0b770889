// SPDX-License-Identifier: Apache-2.0
#include "metrics/api/respond.h"

namespace tocayo::metrics::api {

std::string_view name_of(ErrorType type) {
  switch (type) {
    case ErrorType::bad_data: return "bad_data";
    case ErrorType::execution: return "execution";
    case ErrorType::canceled: return "canceled";
    case ErrorType::timeout: return "timeout";
    case ErrorType::internal: return "internal";
    case ErrorType::unavailable: return "unavailable";
    case ErrorType::not_found: return "not_found";
    case ErrorType::not_acceptable: return "not_acceptable";
    case ErrorType::too_many_requests: return "too_many_requests";
    case ErrorType::too_large_entry: return "too_large_entry";
  }
  return "internal";
}

int status_of(ErrorType type) {
  switch (type) {
    case ErrorType::bad_data: return 400;
    case ErrorType::execution: return 422;
    case ErrorType::canceled: return 499;
    case ErrorType::timeout: return 503;
    case ErrorType::internal: return 500;
    case ErrorType::unavailable: return 503;
    case ErrorType::not_found: return 404;
    case ErrorType::not_acceptable: return 406;
    case ErrorType::too_many_requests: return 429;
    case ErrorType::too_large_entry: return 413;
  }
  return 500;
}

ErrorType type_of(ErrorKind kind, ErrorType otherwise) {
  switch (kind) {
    case ErrorKind::bad_input: return otherwise;
    case ErrorKind::limit: return ErrorType::execution;  // per-query limits are 422
    case ErrorKind::conflict: return ErrorType::execution;
    case ErrorKind::unauthorized:
    case ErrorKind::forbidden: return ErrorType::bad_data;
    case ErrorKind::not_found: return ErrorType::not_found;
    case ErrorKind::too_large: return ErrorType::too_large_entry;
    case ErrorKind::timeout: return ErrorType::timeout;
    case ErrorKind::canceled: return ErrorType::canceled;
    case ErrorKind::unavailable: return ErrorType::unavailable;
    case ErrorKind::internal: return ErrorType::internal;
  }
  return ErrorType::internal;
}

http::Response json_body(JsonWriter writer, int status) {
  http::Response response;
  response.status = status;
  response.headers.add("Content-Type", "application/json");
  response.body = writer.take();
  return response;
}

http::Response error_response(ErrorType type, std::string_view message) {
  JsonWriter writer;
  writer.raw(R"({"status":"error","errorType":)");
  writer.string(name_of(type));
  writer.raw(R"(,"error":)");
  writer.string(message);
  writer.raw('}');
  return json_body(std::move(writer), status_of(type));
}

http::Response error_response(const Error& error) {
  return error_response(type_of(error.kind, ErrorType::bad_data), error.message);
}

void end_envelope(JsonWriter& writer, const std::vector<std::string>& warnings, const std::vector<std::string>& infos) {
  const auto list = [&](std::string_view name, const std::vector<std::string>& texts) {
    if (texts.empty()) return;
    writer.raw(',');
    writer.key(name);
    writer.raw('[');
    Separator comma;
    for (const std::string& text : texts) {
      comma(writer);
      writer.string(text);
    }
    writer.raw(']');
  };
  list("warnings", warnings);
  list("infos", infos);
  writer.raw('}');
}

http::Response data_response(std::string_view data, const std::vector<std::string>& warnings) {
  JsonWriter writer;
  writer.raw(kEnvelopeStart);
  writer.raw(data);
  end_envelope(writer, warnings, {});
  return json_body(std::move(writer));
}

}  // namespace tocayo::metrics::api
