// SPDX-License-Identifier: Apache-2.0
#include "agent/scrape/http_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <iterator>
#include <set>

#include "core/percent.h"
#include "core/text.h"
#include "core/yaml.h"

namespace tocayo::agent {
namespace {

std::string absolute(const std::string& directory, const std::string& path) {
  return path.empty() || path.starts_with('/') || directory.empty() ? path : directory + "/" + path;
}

Result<> read_tls(const YAML::Node& node, const std::string& file, const std::string& directory, HttpSettings& out) {
  yaml::Fields fields(node, file);
  TRY(fields.open());
  TRY(fields.read("ca", out.ca_pem));
  TRY(fields.read("cert", out.cert_pem));
  TRY(fields.read("key", out.key_pem));
  TRY(fields.read("ca_file", out.ca_file));
  TRY(fields.read("cert_file", out.cert_file));
  TRY(fields.read("key_file", out.key_file));
  TRY(fields.read("server_name", out.server_name));
  TRY(fields.read("insecure_skip_verify", out.insecure_skip_verify));
  TRY(fields.read("min_version", out.min_version));
  if (fields.has("max_version")) return std::unexpected(fields.error("max_version", "is not supported"));
  TRY(fields.finish());
  static const std::set<std::string> kVersions = {"", "TLS10", "TLS11", "TLS12", "TLS13"};
  if (!kVersions.contains(out.min_version))
    return std::unexpected(fields.error("min_version", fmt::format("unknown TLS version: {}", out.min_version)));
  auto one_of = [&](const std::string& a, const std::string& b, const char* name) -> Result<> {
    if (!a.empty() && !b.empty())
      return std::unexpected(
          fields.error(name, fmt::format("at most one of {0} and {0}_file must be configured", name)));
    return {};
  };
  TRY(one_of(out.ca_pem, out.ca_file, "ca"));
  TRY(one_of(out.cert_pem, out.cert_file, "cert"));
  TRY(one_of(out.key_pem, out.key_file, "key"));
  for (std::string* path : {&out.ca_file, &out.cert_file, &out.key_file}) *path = absolute(directory, *path);
  bool has_cert = !out.cert_file.empty() || !out.cert_pem.empty();
  bool has_key = !out.key_file.empty() || !out.key_pem.empty();
  if (has_cert != has_key)
    return std::unexpected(yaml::error_at(node, file, "tls_config: a certificate and its key go together"));
  return {};
}

Result<> read_headers(const YAML::Node& node, const std::string& file, const std::string& directory,
                      HttpSettings& out) {
  if (!node.IsDefined() || node.IsNull()) return {};
  if (!node.IsMap())
    return std::unexpected(yaml::error_at(node, file, "http_headers: a mapping of header names is expected"));
  // Set by the client itself, or by the blocks that are there for them.
  static constexpr std::string_view kReserved[] = {"authorization",
                                                   "host",
                                                   "content-encoding",
                                                   "content-length",
                                                   "content-type",
                                                   "user-agent",
                                                   "connection",
                                                   "keep-alive",
                                                   "proxy-authenticate",
                                                   "proxy-authorization",
                                                   "www-authenticate",
                                                   "accept-encoding",
                                                   "x-prometheus-remote-write-version",
                                                   "x-prometheus-remote-read-version",
                                                   "x-prometheus-scrape-timeout-seconds",
                                                   "x-amz-date",
                                                   "x-amz-security-token",
                                                   "x-amz-content-sha256"};
  for (const auto& entry : node) {
    if (!entry.first.IsScalar())
      return std::unexpected(yaml::error_at(entry.first, file, "http_headers: a header name is expected"));
    HttpSettings::Header header{entry.first.Scalar(), {}, {}, {}};
    if (std::find(std::begin(kReserved), std::end(kReserved), to_lower(header.name)) != std::end(kReserved)) {
      return std::unexpected(yaml::error_at(
          entry.first, file, fmt::format("http_headers: setting header \"{}\" is not allowed", header.name)));
    }
    yaml::Fields fields(entry.second, file);
    TRY(fields.open());
    TRY(fields.read("values", header.values));
    TRY(fields.read("secrets", header.secrets));
    TRY(fields.read("files", header.files));
    TRY(fields.finish());
    for (std::string& path : header.files) path = absolute(directory, path);
    out.headers.push_back(std::move(header));
  }
  return {};
}

Result<std::string> secret_from(const std::string& value, const std::string& file) {
  if (file.empty()) return value;
  std::string text = TRY(read_file(file, 1 << 20));
  return std::string(trim(text));
}

}  // namespace

Result<> read_http_settings(yaml::Fields& fields, const std::string& directory, HttpSettings& out) {
  const std::string& file = fields.file();
  if (fields.has("basic_auth")) {
    yaml::Fields basic(fields.get("basic_auth"), file);
    TRY(basic.open());
    TRY(basic.read("username", out.basic_user));
    TRY(basic.read("username_file", out.basic_user_file));
    TRY(basic.read("password", out.basic_password));
    TRY(basic.read("password_file", out.basic_password_file));
    TRY(basic.finish());
    out.basic_user_file = absolute(directory, out.basic_user_file);
    out.basic_password_file = absolute(directory, out.basic_password_file);
    if (!out.basic_user.empty() && !out.basic_user_file.empty()) {
      return std::unexpected(
          basic.error("username", "at most one of basic_auth username & username_file must be configured"));
    }
    if (!out.basic_password.empty() && !out.basic_password_file.empty()) {
      return std::unexpected(
          basic.error("password", "at most one of basic_auth password & password_file must be configured"));
    }
    out.has_basic = true;
  }
  if (fields.has("authorization")) {
    yaml::Fields authorization(fields.get("authorization"), file);
    TRY(authorization.open());
    TRY(authorization.read("type", out.authorization_type));
    TRY(authorization.read("credentials", out.authorization));
    TRY(authorization.read("credentials_file", out.authorization_file));
    TRY(authorization.finish());
    out.authorization_file = absolute(directory, out.authorization_file);
    if (!out.authorization.empty() && !out.authorization_file.empty()) {
      return std::unexpected(authorization.error(
          "credentials", "at most one of authorization credentials & credentials_file must be configured"));
    }
    if (out.authorization_type.empty()) out.authorization_type = "Bearer";
    if (to_lower(out.authorization_type) == "basic") {
      return std::unexpected(
          fields.error("authorization", "type cannot be set to \"basic\", use \"basic_auth\" instead"));
    }
    out.has_authorization = true;
  }
  std::string bearer, bearer_file;
  TRY(fields.read("bearer_token", bearer));
  TRY(fields.read("bearer_token_file", bearer_file));
  if (!bearer.empty() && !bearer_file.empty()) {
    return std::unexpected(
        fields.error("bearer_token", "at most one of bearer_token & bearer_token_file must be configured"));
  }
  if (!bearer.empty() || !bearer_file.empty()) {
    if (out.has_authorization)
      return std::unexpected(fields.error("bearer_token", "authorization is not compatible with bearer_token"));
    out.authorization = bearer;
    out.authorization_file = absolute(directory, bearer_file);
    out.has_authorization = true;
  }
  if (fields.has("oauth2")) {
    yaml::Fields oauth(fields.get("oauth2"), file);
    TRY(oauth.open());
    TRY(oauth.read("client_id", out.oauth2.client_id));
    TRY(oauth.read("client_secret", out.oauth2.client_secret));
    TRY(oauth.read("client_secret_file", out.oauth2.client_secret_file));
    TRY(oauth.read("token_url", out.oauth2.token_url));
    TRY(oauth.read("scopes", out.oauth2.scopes));
    TRY(oauth.read("endpoint_params", out.oauth2.endpoint_params));
    TRY(oauth.finish());
    out.oauth2.client_secret_file = absolute(directory, out.oauth2.client_secret_file);
    if (!out.oauth2.client_secret.empty() && !out.oauth2.client_secret_file.empty()) {
      return std::unexpected(
          oauth.error("client_secret", "at most one of oauth2 client_secret & client_secret_file must be configured"));
    }
    if (out.oauth2.client_id.empty() || out.oauth2.token_url.empty()) {
      return std::unexpected(fields.error("oauth2", "client_id and token_url must be given"));
    }
    out.has_oauth2 = true;
  }
  if (out.has_basic + out.has_authorization + out.has_oauth2 > 1) {
    return std::unexpected(fields.error(out.has_basic ? "basic_auth" : "authorization",
                                        "at most one of basic_auth, oauth2 & authorization must be configured"));
  }
  if (fields.has("tls_config")) TRY(read_tls(fields.get("tls_config"), file, directory, out));
  TRY(fields.read("proxy_url", out.proxy_url));
  TRY(fields.read("no_proxy", out.no_proxy));
  TRY(fields.read("proxy_from_environment", out.proxy_from_environment));
  TRY(fields.read("follow_redirects", out.follow_redirects));
  TRY(fields.read("enable_http2", out.enable_http2));
  if (out.proxy_from_environment && !out.proxy_url.empty()) {
    return std::unexpected(
        fields.error("proxy_url", "if proxy_from_environment is configured, proxy_url must not be configured"));
  }
  if (!out.no_proxy.empty() && out.proxy_from_environment) {
    return std::unexpected(
        fields.error("no_proxy", "if proxy_from_environment is configured, no_proxy must not be configured"));
  }
  if (!out.no_proxy.empty() && out.proxy_url.empty()) {
    return std::unexpected(fields.error("no_proxy", "if no_proxy is configured, proxy_url must also be configured"));
  }
  return read_headers(fields.get("http_headers"), file, directory, out);
}

void HttpIdentity::apply_transport(http::ClientRequest& request) const {
  request.follow_redirects = settings_.follow_redirects;
  request.http2 = settings_.enable_http2;
  request.ca_file = settings_.ca_file;
  request.cert_file = settings_.cert_file;
  request.key_file = settings_.key_file;
  request.ca_pem = settings_.ca_pem;
  request.cert_pem = settings_.cert_pem;
  request.key_pem = settings_.key_pem;
  request.server_name = settings_.server_name;
  request.min_tls_version = settings_.min_version;
  request.insecure_skip_verify = settings_.insecure_skip_verify;
  request.proxy_url = settings_.proxy_url;
  request.no_proxy = settings_.no_proxy;
  request.proxy_from_environment = settings_.proxy_from_environment;
}

Task<Result<>> HttpIdentity::apply(http::ClientRequest& request, Context context) {
  apply_transport(request);
  if (settings_.has_basic) {
    CO_TRY(request.basic_user, secret_from(settings_.basic_user, settings_.basic_user_file));
    CO_TRY(request.basic_password, secret_from(settings_.basic_password, settings_.basic_password_file));
  } else if (settings_.has_authorization) {
    CO_TRY(std::string secret, secret_from(settings_.authorization, settings_.authorization_file));
    if (!secret.empty()) request.headers.set("Authorization", settings_.authorization_type + " " + secret);
  } else if (settings_.has_oauth2) {
    CO_TRY(std::string token, co_await oauth2_token(context));
    request.headers.set("Authorization", "Bearer " + token);
  }
  for (const auto& header : settings_.headers) {
    for (const auto& value : header.values) request.headers.add(header.name, value);
    for (const auto& value : header.secrets) request.headers.add(header.name, value);
    for (const auto& path : header.files) {
      CO_TRY(std::string value, secret_from("", path));
      request.headers.add(header.name, value);
    }
  }
  co_return Result<>();
}

Task<Result<std::string>> HttpIdentity::oauth2_token(Context context) {
  {
    std::lock_guard lock(mutex_);
    if (!token_.empty() && std::chrono::steady_clock::now() < token_expires_) co_return token_;
  }
  const OAuth2Settings& oauth = settings_.oauth2;
  http::ClientRequest request;
  apply_transport(request);
  request.method = "POST";
  request.url = oauth.token_url;
  request.basic_user = oauth.client_id;
  CO_TRY(request.basic_password, secret_from(oauth.client_secret, oauth.client_secret_file));
  request.headers.add("Content-Type", "application/x-www-form-urlencoded");
  request.body = "grant_type=client_credentials";
  if (!oauth.scopes.empty())
    request.body += "&scope=" + percent_encode(fmt::format("{}", fmt::join(oauth.scopes, " ")));
  for (const auto& [name, value] : oauth.endpoint_params)
    request.body += "&" + percent_encode(name) + "=" + percent_encode(value);
  CO_TRY(http::ClientResponse response, co_await client_.send(std::move(request), context));
  if (response.status != 200)
    co_return fail(ErrorKind::unavailable, fmt::format("oauth2: the token endpoint answered {}", response.status));
  boost::system::error_code code;
  auto answer = boost::json::parse(response.body, code);
  const auto* object = code ? nullptr : answer.if_object();
  const auto* token = object ? object->if_contains("access_token") : nullptr;
  if (!token || !token->is_string())
    co_return fail(ErrorKind::unavailable, "oauth2: the token endpoint gave no access_token");
  double seconds = 300;
  if (const auto* expires = object->if_contains("expires_in"); expires && expires->is_number())
    seconds = expires->to_number<double>();
  std::lock_guard lock(mutex_);
  token_ = std::string(token->as_string());
  // Renewed a little before it ends, so that no request carries one that has just expired.
  token_expires_ = std::chrono::steady_clock::now() +
                   std::chrono::milliseconds(static_cast<std::int64_t>(std::min(seconds, 86400.0) * 900));
  co_return token_;
}

}  // namespace tocayo::agent
