// SPDX-License-Identifier: Apache-2.0
// YAML with located errors. Include only from .cpp files: yaml-cpp is dear to compile. yaml-cpp's exceptions stop here.
#pragma once

#include <yaml-cpp/yaml.h>

#include <charconv>
#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace tocayo::yaml {

// Parses one document. Errors: bad_input "<file>:<line>:<column>: …". An empty text is a null node.
Result<YAML::Node> parse(std::string_view text, std::string_view file);

// "<file>:<line>:<column>: <message>" at the node.
Error error_at(const YAML::Node& node, std::string_view file, std::string_view message);

// Reads the fields of one mapping; what nobody asked for is an unknown key, reported with the nearest known one.
//   yaml::Fields fields(node, file);  TRY(fields.open());
//   TRY(fields.read("scrape_interval", interval));  …  TRY(fields.finish());
// An absent or null field leaves the target as it is.
class Fields {
 public:
  Fields(const YAML::Node& node, std::string_view file) : node_(node), file_(file) {}

  Result<> open();  // bad_input when the node is neither a mapping nor null
  Result<> read(const std::string& key, std::string& out);
  Result<> read(const std::string& key, bool& out);
  Result<> read(const std::string& key, std::int64_t& out);
  Result<> read(const std::string& key, double& out);
  Result<> read(const std::string& key, std::chrono::milliseconds& out);  // Prometheus duration
  Result<> read_bytes(const std::string& key, std::uint64_t& out);        // "10MB", "1GiB", plain number
  Result<> read(const std::string& key, std::vector<std::string>& out);   // a list of scalars, or one scalar
  Result<> read(const std::string& key, std::map<std::string, std::string>& out);
  // The node of the key (undefined when absent), marked as known.
  YAML::Node get(const std::string& key);
  bool has(const std::string& key) { return get(key).IsDefined() && !get(key).IsNull(); }
  Result<> finish();
  Error error(const std::string& key, std::string_view message);
  const std::string& file() const { return file_; }

 private:
  YAML::Node node_;
  std::string file_;
  std::vector<std::string> known_;
};

}  // namespace tocayo::yaml
