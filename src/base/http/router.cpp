// SPDX-License-Identifier: Apache-2.0
#include "http/router.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "http/detail/route_table.h"
#include "http/detail/uri.h"

namespace tocayo::http {
namespace {

using Segments = std::vector<std::string>;
using Impl = Router::Impl;

[[noreturn]] void wiring_mistake(std::string_view what, std::string_view pattern) {
  std::fprintf(stderr, "router: %.*s: %.*s\n", static_cast<int>(what.size()), what.data(),
               static_cast<int>(pattern.size()), pattern.data());
  std::abort();
}

struct Search {
  std::string_view method;
  const Segments& segments;
  std::vector<std::string_view> values;  // of the names on the way
  Router::Match match;

  bool take(const std::vector<Impl::Leaf>& leaves, std::string_view wanted) {
    for (const auto& leaf : leaves) {
      if (leaf.method != wanted) continue;
      match.route = leaf.route;
      for (std::size_t i = 0; i < leaf.names.size(); ++i) match.params.emplace_back(leaf.names[i], values[i]);
      return true;
    }
    return false;
  }

  bool end_at(const std::vector<Impl::Leaf>& leaves) {
    if (take(leaves, method) || (method == "HEAD" && take(leaves, "GET"))) return true;
    for (const auto& leaf : leaves) {
      if (std::ranges::find(match.allowed, leaf.method) == match.allowed.end()) match.allowed.emplace_back(leaf.method);
    }
    return false;
  }

  bool end_with_rest(const Impl::Node& node, std::size_t at) {
    if (node.rests.empty()) return false;
    rest.clear();
    for (std::size_t i = at; i < segments.size(); ++i) {
      if (i > at) rest += '/';
      rest += segments[i];
    }
    values.push_back(rest);
    bool found = end_at(node.rests);
    values.pop_back();
    return found;
  }

  bool walk(const Impl::Node& node, std::size_t at) {
    if (at == segments.size()) return end_at(node.leaves) || end_with_rest(node, at);
    if (auto literal = node.literals.find(segments[at]);
        literal != node.literals.end() && walk(*literal->second, at + 1))
      return true;
    if (node.param && !segments[at].empty()) {
      values.push_back(segments[at]);
      bool found = walk(*node.param, at + 1);
      values.pop_back();
      if (found) return true;
    }
    return end_with_rest(node, at);
  }

  std::string rest;
};

bool is_name(std::string_view segment) { return segment.starts_with('{') && segment.ends_with('}'); }

}  // namespace

Router::Match Router::Impl::match(std::string_view method, const Segments& segments) const {
  Search search{.method = method, .segments = segments, .values = {}, .match = {}, .rest = {}};
  if (search.walk(root, 0)) search.match.allowed.clear();
  return std::move(search.match);
}

void Router::Impl::insert(std::string_view pattern, const detail::Route* route) {
  if (!pattern.starts_with('/')) wiring_mistake("a pattern starts with '/'", pattern);
  Node* node = &root;
  Leaf leaf{.method = route->method, .route = route, .names = {}};
  auto segments = detail::split_segments(pattern);
  std::vector<Leaf>* home = nullptr;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const auto& segment = segments[i];
    if (is_name(segment) && segment.ends_with("...}")) {
      if (i + 1 != segments.size()) wiring_mistake("'{name...}' must be the last segment", pattern);
      leaf.names.push_back(segment.substr(1, segment.size() - 5));
      home = &node->rests;
    } else if (is_name(segment)) {
      leaf.names.push_back(segment.substr(1, segment.size() - 2));
      if (!node->param) node->param = std::make_unique<Node>();
      node = node->param.get();
    } else {
      auto& child = node->literals[segment];
      if (!child) child = std::make_unique<Node>();
      node = child.get();
    }
  }
  if (home == nullptr) home = &node->leaves;
  if (std::ranges::any_of(*home, [&](const Leaf& other) { return other.method == leaf.method; })) {
    wiring_mistake("method and pattern added twice", route->method + " " + std::string(pattern));
  }
  home->push_back(std::move(leaf));
  patterns.emplace_back(pattern, route);
}

Router::Router() : impl_(std::make_unique<Impl>()) {}
Router::~Router() = default;
Router::Router(Router&&) noexcept = default;
Router& Router::operator=(Router&&) noexcept = default;

void Router::add(std::string_view method, std::string_view pattern, Handler handler, RouteOptions options) {
  auto route = std::make_unique<detail::Route>();
  route->method = method;
  route->pattern = pattern;
  route->handler = std::move(handler);
  route->options = std::move(options);
  if (route->options.metric_name.empty()) route->options.metric_name = pattern;
  route->id = impl_->routes.size();
  impl_->insert(pattern, route.get());
  impl_->routes.push_back(std::move(route));
}

void Router::add_websocket(std::string_view pattern, std::vector<std::string> subprotocols, WebSocketHandler handler,
                           RouteOptions options) {
  add(detail::kWebSocketMethod, pattern, {}, std::move(options));
  auto& route = *impl_->routes.back();
  route.websocket = std::move(handler);
  route.subprotocols = std::move(subprotocols);
}

void Router::set_fallback(Handler handler, RouteOptions options) {
  auto route = std::make_unique<detail::Route>();
  route->method = "*";
  route->pattern = "*";
  route->handler = std::move(handler);
  route->options = std::move(options);
  if (route->options.metric_name.empty()) route->options.metric_name = "fallback";
  impl_->fallback = std::move(route);
}

void Router::alias(std::string_view from, std::string_view to) {
  auto existing = impl_->patterns;
  for (const auto& [pattern, route] : existing) {
    std::string_view text = pattern;
    if (!text.starts_with(from)) continue;
    auto rest = text.substr(from.size());
    if (!rest.empty() && !rest.starts_with('/') && !from.ends_with('/')) continue;
    impl_->insert(std::string(to) + std::string(rest), route);
  }
}

void Router::set_refusals(std::string prefix, RefusalShape shape) {
  impl_->refusals.emplace_back(std::move(prefix), std::move(shape));
  std::ranges::stable_sort(impl_->refusals, std::ranges::greater(),
                           [](const auto& entry) { return entry.first.size(); });
}

const RefusalShape* Router::Impl::refusal_of(std::string_view path) const {
  for (const auto& [prefix, shape] : refusals) {
    if (path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/')) return &shape;
  }
  return nullptr;
}

}  // namespace tocayo::http
