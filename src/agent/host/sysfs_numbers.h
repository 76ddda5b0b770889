// SPDX-License-Identifier: Apache-2.0
// Directories of files with one number each, which is most of sysfs: a table of file, metric and factor.
#pragma once

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "agent/host/collector.h"
#include "agent/host/files.h"
#include "agent/host/scan.h"
#include "agent/host/series.h"

namespace tocayo::agent {

struct NumberFile {
  std::string_view file;
  std::string_view metric;  // with the prefix that the table is declared with
  FamilyType type = FamilyType::counter;
  double factor = 1;  // below 1 the value is divided by the reciprocal, which is exact for powers of ten
};

class NumberTable {
 public:
  NumberTable(Writer& out, std::string_view prefix, std::initializer_list<NumberFile> files,
              std::initializer_list<std::string_view> label_names) {
    for (const NumberFile& file : files) {
      rows_.push_back({std::string(file.file), file.factor, std::round(1 / file.factor),
                       &out.family(std::string(prefix) + std::string(file.metric), file.type, {}, label_names)});
    }
  }

  // Puts every file of the table that the directory has and that holds a number. How many those were.
  std::size_t put(Writer& out, Buffer& buffer, const std::string& directory,
                  std::initializer_list<std::string_view> labels) const {
    std::size_t count = 0;
    std::string path;
    for (const Row& row : rows_) {
      path.assign(directory).append("/").append(row.file);
      auto text = read_trimmed(path, buffer);
      if (!text) continue;
      double value = 0;
      if (auto whole = scan::to_i64(*text))
        value = static_cast<double>(*whole);
      else if (auto big = scan::to_u64_any(*text))
        value = static_cast<double>(*big);
      else
        continue;
      out.put(*row.family, labels, row.factor < 1 ? value / row.reciprocal : value * row.factor);
      ++count;
    }
    return count;
  }

 private:
  struct Row {
    std::string file;
    double factor, reciprocal;
    const Family* family;
  };
  std::vector<Row> rows_;
};

// Entries of a directory that are `prefix` followed by digits; what follows the prefix is handed over as well.
template <typename Each>
void each_numbered(const std::vector<std::string>& names, std::string_view prefix, Each each) {
  for (const std::string& name : names) {
    std::string_view number = name;
    if (!number.starts_with(prefix)) continue;
    number.remove_prefix(prefix.size());
    if (scan::to_u64(number)) each(name, number);
  }
}

}  // namespace tocayo::agent
