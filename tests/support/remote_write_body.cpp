// SPDX-License-Identifier: Apache-2.0
#include "tests/support/remote_write_body.h"

#include <snappy.h>

#include <map>
#include <protozero/pbf_writer.hpp>

namespace tocayo::testing {
namespace {

std::string compressed(const std::string& body) {
  std::string out;
  snappy::Compress(body.data(), body.size(), &out);
  return out;
}

}  // namespace

std::string remote_write_1(std::span<const PushSeries> all) {
  std::string body;
  protozero::pbf_writer request(body);
  std::string series_bytes, part;
  for (const PushSeries& series : all) {
    series_bytes.clear();
    protozero::pbf_writer writer(series_bytes);
    for (const auto& [name, value] : series.labels) {
      part.clear();
      protozero::pbf_writer label(part);
      label.add_string(1, name);
      label.add_string(2, value);
      writer.add_message(1, part);
    }
    for (const auto& [time, value] : series.samples) {
      part.clear();
      protozero::pbf_writer sample(part);
      sample.add_double(1, value);
      sample.add_int64(2, time);
      writer.add_message(2, part);
    }
    request.add_message(1, series_bytes);
  }
  return compressed(body);
}

std::string remote_write_2(std::span<const PushSeries> all) {
  std::vector<std::string> symbols{""};
  std::map<std::string, std::uint32_t> ids{{"", 0}};
  auto symbol = [&](const std::string& text) {
    auto [it, fresh] = ids.emplace(text, static_cast<std::uint32_t>(symbols.size()));
    if (fresh) symbols.push_back(text);
    return it->second;
  };
  std::vector<std::string> encoded;
  for (const PushSeries& series : all) {
    std::string bytes, part;
    protozero::pbf_writer writer(bytes);
    std::vector<std::uint32_t> refs;
    for (const auto& [name, value] : series.labels) {
      refs.push_back(symbol(name));
      refs.push_back(symbol(value));
    }
    writer.add_packed_uint32(1, refs.begin(), refs.end());
    for (const auto& [time, value] : series.samples) {
      part.clear();
      protozero::pbf_writer sample(part);
      sample.add_double(1, value);
      sample.add_int64(2, time);
      writer.add_message(2, part);
    }
    encoded.push_back(std::move(bytes));
  }
  std::string body;
  protozero::pbf_writer request(body);
  for (const auto& text : symbols) request.add_string(4, text);
  for (const auto& bytes : encoded) request.add_message(5, bytes);
  return compressed(body);
}

std::vector<std::pair<std::string, std::string>> remote_write_headers(int version) {
  return {{"Content-Type",
           version == 2 ? "application/x-protobuf;proto=io.prometheus.write.v2.Request" : "application/x-protobuf"},
          {"Content-Encoding", "snappy"},
          {"X-Prometheus-Remote-Write-Version", version == 2 ? "2.0.0" : "0.1.0"}};
}

}  // namespace tocayo::testing
