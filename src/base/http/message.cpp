// SPDX-License-Identifier: Apache-2.0
#include "http/message.h"

#include <algorithm>

#include "core/percent.h"
#include "http/detail/text.h"
#include "http/detail/uri.h"

namespace tocayo::http {

void Headers::set(std::string_view name, std::string value) {
  bool placed = false;
  std::erase_if(fields_, [&](auto& field) {
    if (!detail::iequals(field.first, name)) return false;
    if (placed) return true;
    field.second = std::move(value);
    placed = true;
    return false;
  });
  if (!placed) fields_.emplace_back(std::string(name), std::move(value));
}

std::string_view Headers::get(std::string_view name) const {
  for (const auto& [key, value] : fields_) {
    if (detail::iequals(key, name)) return value;
  }
  return {};
}

bool Headers::has(std::string_view name) const {
  return std::ranges::any_of(fields_, [&](const auto& field) { return detail::iequals(field.first, name); });
}

void Headers::remove(std::string_view name) {
  std::erase_if(fields_, [&](const auto& field) { return detail::iequals(field.first, name); });
}

Params Params::parse(std::string_view encoded) {
  Params params;
  while (!encoded.empty()) {
    auto end = encoded.find('&');
    auto pair = encoded.substr(0, end);
    encoded = end == std::string_view::npos ? std::string_view{} : encoded.substr(end + 1);
    if (pair.empty()) continue;
    auto equals = pair.find('=');
    auto name = pair.substr(0, equals);
    auto value = equals == std::string_view::npos ? std::string_view{} : pair.substr(equals + 1);
    params.add(form_decode(name), form_decode(value));
  }
  return params;
}

std::optional<std::string_view> Params::get(std::string_view name) const {
  for (const auto& [key, value] : values_) {
    if (key == name) return std::string_view(value);
  }
  return std::nullopt;
}

std::vector<std::string_view> Params::all(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const auto& [key, value] : values_) {
    if (key == name) values.emplace_back(value);
  }
  return values;
}

std::string_view Request::param(std::string_view name) const {
  for (const auto& [key, value] : path_params) {
    if (key == name) return value;
  }
  return {};
}

Params Request::form() const {
  Params params;
  if (detail::media_type(headers.get("Content-Type")) == "application/x-www-form-urlencoded")
    params = Params::parse(body);
  params.append(query);
  return params;
}

Response Response::text(int status, std::string body, std::string_view content_type) {
  Response response;
  response.status = status;
  response.headers.add("Content-Type", std::string(content_type));
  response.body = std::move(body);
  return response;
}

Response Response::json(int status, std::string body) { return text(status, std::move(body), "application/json"); }

Response Response::empty(int status) {
  Response response;
  response.status = status;
  return response;
}

Response Response::redirect(int status, std::string location) {
  Response response;
  response.status = status;
  response.headers.add("Location", std::move(location));
  return response;
}

int status_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::bad_input: return 400;
    case ErrorKind::not_found: return 404;
    case ErrorKind::conflict: return 409;
    case ErrorKind::unauthorized: return 401;
    case ErrorKind::forbidden: return 403;
    case ErrorKind::limit: return 429;
    case ErrorKind::too_large: return 413;
    case ErrorKind::timeout: return 504;
    case ErrorKind::canceled: return 499;
    case ErrorKind::unavailable: return 503;
    case ErrorKind::internal: return 500;
  }
  return 500;
}

Response error_response(const Error& error) {
  auto response = Response::json(status_of(error.kind), detail::error_body(to_string(error.kind), error.message));
  if (error.kind == ErrorKind::unavailable || error.kind == ErrorKind::limit) response.headers.add("Retry-After", "5");
  return response;
}

}  // namespace tocayo::http
