// SPDX-License-Identifier: Apache-2.0
#include "ui/assets.h"

#include <zlib.h>

#include <algorithm>

#include "core/hash.h"
#include "core/text.h"

#include "assets_table.inc"

namespace tocayo::ui {
namespace {

bool accepts(const http::Request& request, std::string_view encoding) {
  for (std::string_view part : split(request.headers.get("Accept-Encoding"), ',')) {
    auto fields = split(trim(part), ';');
    if (trim(fields[0]) != encoding) continue;
    return fields.size() < 2 || (trim(fields[1]) != "q=0" && trim(fields[1]) != "q=0.0");
  }
  return false;
}

std::string inflate(std::string_view packed, std::size_t size) {
  std::string out(size, '\0');
  z_stream z{};
  if (inflateInit2(&z, 15 + 16) != Z_OK) return {};
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  z.avail_in = static_cast<uInt>(packed.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  int code = ::inflate(&z, Z_FINISH);
  inflateEnd(&z);
  return code == Z_STREAM_END ? out : std::string();
}

std::string_view type_of(std::string_view path) {
  static constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
      {".js", "text/javascript; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},
      {".svg", "image/svg+xml"},
      {".woff2", "font/woff2"},
      {".png", "image/png"},
      {".json", "application/json"},
      {".ico", "image/x-icon"},
      {".html", "text/html; charset=utf-8"},
      {".webmanifest", "application/manifest+json"}};
  for (auto [extension, type] : kTypes) {
    if (path.ends_with(extension)) return type;
  }
  return "application/octet-stream";
}

http::Response not_found() { return http::error_response(Error{ErrorKind::not_found, "there is no such file"}); }

}  // namespace

const Asset* find_asset(std::string_view path) {
  const Asset* end = kAssets + kAssetCount;
  const Asset* found =
      std::lower_bound(kAssets, end, path, [](const Asset& a, std::string_view p) { return a.path < p; });
  return found != end && found->path == path ? found : nullptr;
}

bool is_asset(std::string_view path, const std::string& web_dir) {
  if (path.empty() || path == "index.html" || path.find("..") != std::string_view::npos) return false;
  if (web_dir.empty()) return find_asset(path) != nullptr;
  // Development: the same few places that the build fills, never a page's own address.
  bool place =
      path.starts_with("icons/") || path == "sw.js" || path == "offline.html" || path == "manifest.webmanifest";
  return place && read_file(web_dir + "/" + std::string(path)).has_value();
}

http::Response serve_asset(const http::Request& request, std::string_view path, const std::string& web_dir) {
  if (path.empty() || path.starts_with('/') || path.find("..") != std::string_view::npos || path == "index.html")
    return not_found();
  http::Response response;
  // Only names with a hash may be kept: an old sw.js or offline.html would outlive the build it belongs to.
  bool hashed = path.starts_with("assets/");
  response.headers.add("Cache-Control", hashed ? "public, max-age=31536000, immutable" : "no-cache");
  if (!web_dir.empty()) {
    auto file = read_file(web_dir + "/" + std::string(path));
    if (!file) return not_found();
    response.headers.set("Cache-Control", "no-cache");
    response.headers.add("Content-Type", std::string(type_of(path)));
    response.body = std::move(*file);
    return response;
  }
  const Asset* asset = find_asset(path);
  if (!asset) return not_found();
  std::string etag = '"' + std::string(asset->etag) + '"';
  response.headers.add("ETag", etag);
  response.headers.add("Content-Type", std::string(asset->content_type));
  response.headers.add("Vary", "Accept-Encoding");
  response.compress = false;
  if (request.headers.get("If-None-Match").find(etag) != std::string_view::npos) {
    response.status = 304;
    return response;
  }
  if (asset->plain.data != nullptr) {
    response.static_body = asset->plain.view();
  } else if (accepts(request, "br")) {
    response.headers.add("Content-Encoding", "br");
    response.static_body = asset->brotli.view();
  } else if (accepts(request, "gzip")) {
    response.headers.add("Content-Encoding", "gzip");
    response.static_body = asset->gzip.view();
  } else {
    response.body = inflate(asset->gzip.view(), asset->plain_size);
  }
  return response;
}

std::string index_template(const std::string& web_dir) {
  if (!web_dir.empty()) return read_file(web_dir + "/index.html").value_or("");
  const Asset* index = find_asset("index.html");
  return index ? std::string(index->plain.view()) : std::string();
}

}  // namespace tocayo::ui
