// SPDX-License-Identifier: Apache-2.0
// Parameters, forms, percent-decoding, request targets, header lists, routing of what came out.
#include <cstdint>
#include <cstdlib>

#include "core/percent.h"
#include "http/detail/compress.h"
#include "http/detail/route_table.h"
#include "http/detail/text.h"
#include "http/detail/uri.h"

namespace {

using namespace tocayo;
using namespace tocayo::http;
namespace d = tocayo::http::detail;

void require(bool condition) {
  if (!condition) std::abort();
}

const Router& router() {
  static const Router kRouter = [] {
    Router r;
    auto handler = [](Request&) -> Task<Response> { co_return Response::empty(204); };
    r.add("GET", "/", handler);
    r.add("GET", "/api/v1/label/{name}/values", handler);
    r.add("GET", "/api/{x}/label/a/values", handler);
    r.add("POST", "/api/v1/{rest...}", handler);
    return r;
  }();
  return kRouter;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto params = Params::parse(text);
  for (const auto& [name, value] : params) {
    require(name.size() + value.size() <= text.size());
    require(params.has(name));
  }
  for (std::string_view base : {"", "/base"}) {
    auto target = d::parse_target(text, base);
    if (!target) continue;
    require(target->path.starts_with('/'));
    require(target->path.find('\0') == std::string::npos);
    for (const auto& segment : target->segments) require(segment != "." && segment != "..");
    auto match = router().impl().match("GET", target->segments);
    require(match.route == nullptr || match.allowed.empty());
    Params::parse(target->query);
  }
  if (auto decoded = tocayo::percent_decode(text)) require(decoded->size() <= text.size());
  d::split_list(text);
  d::media_type(text);
  d::negotiate(text);
  d::parse_coding(text);
  auto body = d::error_body("x", text);
  require(body.starts_with('{') && body.ends_with('}'));
  return 0;
}
