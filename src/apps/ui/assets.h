// SPDX-License-Identifier: Apache-2.0
// The page, packed into the binary at build time (embed/embed_assets.cpp).
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "http/message.h"

namespace tocayo::ui {

struct Bytes {
  const char* data = nullptr;
  std::size_t size = 0;
  std::string_view view() const { return {data, size}; }
};

struct Asset {
  std::string_view path;  // "assets/index-abc.js"
  std::string_view content_type;
  std::string_view etag;  // hex of SHA-256, without quotes
  std::size_t plain_size = 0;
  Bytes plain;  // absent when only the packed forms are kept
  Bytes gzip;
  Bytes brotli;
};

// Null when there is no such file. Thread-safe, no allocation.
const Asset* find_asset(std::string_view path);

// Whether serve_asset() has this file, for paths outside assets/ (service worker, manifest, icons, offline page).
bool is_asset(std::string_view path, const std::string& web_dir);

// Serves `path` from `web_dir` when it is set (development), else from the binary; hashed files are immutable, others
// asked about at each use; ETags answered. 404 JSON when there is no such file.
http::Response serve_asset(const http::Request& request, std::string_view path, const std::string& web_dir);

// index.html with its placeholders; "" when the binary was built without the page.
std::string index_template(const std::string& web_dir);

}  // namespace tocayo::ui
