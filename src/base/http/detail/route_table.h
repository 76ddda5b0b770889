// SPDX-License-Identifier: Apache-2.0
// The router's insides: a tree of path segments.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/router.h"

namespace tocayo::http {

namespace detail {

// Pseudo-method under which WebSocket endpoints are kept.
inline constexpr std::string_view kWebSocketMethod = "WEBSOCKET";

struct Route {
  std::string method;
  std::string pattern;
  Handler handler;
  WebSocketHandler websocket;  // set for WebSocket routes instead of `handler`
  std::vector<std::string> subprotocols;
  RouteOptions options;  // metric_name is always filled
  std::size_t id = 0;    // dense, from 0: the server keeps its metrics in vectors
};

}  // namespace detail

struct Router::Match {
  const detail::Route* route = nullptr;  // nullptr: see `allowed`
  std::vector<std::pair<std::string, std::string>> params;
  std::vector<std::string_view> allowed;  // methods that would match the path; empty: no such path
};

struct Router::Impl {
  struct Leaf {
    std::string method;
    const detail::Route* route = nullptr;
    std::vector<std::string> names;
  };
  struct Node {
    std::map<std::string, std::unique_ptr<Node>, std::less<>> literals;
    std::unique_ptr<Node> param;
    std::vector<Leaf> leaves;  // paths that end here
    std::vector<Leaf> rests;   // `{name...}` here
  };

  // Reads only; thread-safe once the server runs. HEAD falls back to GET. O(segments) but for backtracking over names.
  Match match(std::string_view method, const std::vector<std::string>& segments) const;
  void insert(std::string_view pattern, const detail::Route* route);

  // nullptr: that of our own APIs.
  const RefusalShape* refusal_of(std::string_view path) const;

  std::vector<std::unique_ptr<detail::Route>> routes;
  std::vector<std::pair<std::string, RefusalShape>> refusals;  // longest first
  std::unique_ptr<detail::Route> fallback;
  std::vector<std::pair<std::string, const detail::Route*>> patterns;  // as inserted, aliases included
  Node root;
};

}  // namespace tocayo::http
