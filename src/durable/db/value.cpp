// SPDX-License-Identifier: Apache-2.0
#include "db/value.h"

namespace tocayo::db {

std::string_view kind_of(const Value& value) {
  switch (value.index()) {
    case 0: return "null";
    case 1: return "integer";
    case 2: return "real";
    case 3: return "text";
    default: return "bytes";
  }
}

namespace detail {

Error wrong_column(const Rows& rows, std::size_t column, const Value& value) {
  return {ErrorKind::internal, "column " + std::to_string(column + 1) + " (" + rows.columns[column] +
                                   ") has an unexpected " + std::string(kind_of(value))};
}

Error wrong_width(const Rows& rows, std::size_t expected) {
  return {ErrorKind::internal, "the statement gave " + std::to_string(rows.columns.size()) + " columns instead of " +
                                   std::to_string(expected)};
}

}  // namespace detail
}  // namespace tocayo::db
