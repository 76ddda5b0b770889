// SPDX-License-Identifier: Apache-2.0
// The HTTP client block of Prometheus' configuration: who we say we are and whom we trust.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/task.h"
#include "http/client.h"

namespace tocayo::yaml {
class Fields;
}

namespace tocayo::agent {

struct OAuth2Settings {
  std::string client_id, client_secret, client_secret_file, token_url;
  std::vector<std::string> scopes;
  std::map<std::string, std::string> endpoint_params;
  bool operator==(const OAuth2Settings&) const = default;
};

struct HttpSettings {
  std::string basic_user, basic_user_file, basic_password, basic_password_file;
  std::string authorization_type = "Bearer", authorization, authorization_file;
  bool has_basic = false, has_authorization = false, has_oauth2 = false;
  OAuth2Settings oauth2;
  std::string ca_file, cert_file, key_file, ca_pem, cert_pem, key_pem, server_name, min_version;
  bool insecure_skip_verify = false;
  std::string proxy_url, no_proxy;
  bool proxy_from_environment = false;
  bool follow_redirects = true, enable_http2 = true;
  struct Header {
    std::string name;
    std::vector<std::string> values, secrets, files;
    bool operator==(const Header&) const = default;
  };
  std::vector<Header> headers;
  bool operator==(const HttpSettings&) const = default;
};

// Reads the block's fields, which stand among others in the same mapping. Relative file paths are taken from
// `directory`. Errors "<file>:<line>:<column>: …"; two ways to authenticate at once are one.
Result<> read_http_settings(yaml::Fields& fields, const std::string& directory, HttpSettings& out);

// Applies settings to requests; reads secret files at each use (they change under us) and caches OAuth 2 tokens until
// they expire. Thread-safe.
class HttpIdentity {
 public:
  HttpIdentity(HttpSettings settings, http::Client& client) : settings_(std::move(settings)), client_(client) {}
  Task<Result<>> apply(http::ClientRequest& request, Context context);
  const HttpSettings& settings() const { return settings_; }

 private:
  Task<Result<std::string>> oauth2_token(Context context);
  void apply_transport(http::ClientRequest& request) const;

  const HttpSettings settings_;
  http::Client& client_;
  std::mutex mutex_;
  std::string token_;
  std::chrono::steady_clock::time_point token_expires_{};
};

}  // namespace tocayo::agent
