// SPDX-License-Identifier: Apache-2.0
// One request and its response; lives until both the handler and the writing are done.
#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "http/detail/compress.h"
#include "http/detail/server_state.h"
#include "http/detail/stream_sink.h"
#include "http/message.h"

namespace tocayo::http::detail {

struct Exchange {
  explicit Exchange(const std::shared_ptr<ServerState>& state) : budget(state) {}

  Request request;
  Response response;
  std::string encoded_body;  // the compressed body, when `encoded` is not identity
  Coding encoded = Coding::identity;
  std::stop_source stop;
  const Route* route = nullptr;
  std::size_t label = 0;
  Steady::time_point started;
  Steady::time_point deadline = Steady::time_point::max();  // the handler's
  BodyBudget budget;
  std::shared_ptr<StreamSink> sink;  // of a streamed response
  int minor_version = 1;
  bool keep_alive = true;
  bool head = false;
  bool over_limit = false;  // the wire body
  bool over_budget = false;
  std::uint64_t sent = 0;  // body bytes on the wire
  int logged_status = 0;
};

}  // namespace tocayo::http::detail
