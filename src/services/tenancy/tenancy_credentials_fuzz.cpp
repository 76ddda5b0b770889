// SPDX-License-Identifier: Apache-2.0
// Authorization, Cookie, Host and Origin headers: no crash, and nothing malformed is taken for us.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "tenancy/credentials.h"
#include "tenancy/origin.h"
#include "tenancy/tenant_id.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tocayo::tenancy;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto credentials = parse_authorization(text);
  if (credentials && credentials->kind == Credentials::Kind::token && !credentials->secret.starts_with(kTokenPrefix))
    std::abort();
  (void)find_cookie(text, kSessionCookie);
  auto at = parse_host_port(text);
  if (at && (at->host.empty() || at->host.find_first_of("/@ \t[]") != std::string::npos)) std::abort();
  static const OriginPolicy policy = *OriginPolicy::create({});
  tocayo::http::Request request;
  request.method = "POST";
  request.headers.add("Host", "localhost:4600");
  request.headers.add("Origin", std::string(text));
  if (!text.empty() && policy.check_origin(request)) {
    // Whatever passes must name us, in any case of letters and with the port written out.
    auto origin = parse_host_port(text.substr(text.find("://") + 3, text.substr(text.find("://") + 3).find('/')));
    if (!origin || origin->host != "localhost" || origin->port != 4600) std::abort();
  }
  (void)check_tenant_id(text);
  (void)parse_tenant_ids(text);
  return 0;
}
