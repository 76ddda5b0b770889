// SPDX-License-Identifier: Apache-2.0
// The functions of line_format and label_format.
#pragma once

#include <memory>
#include <string_view>

#include "core/time.h"
#include "template/go_text.h"
#include "template/template.h"

namespace tocayo::logql {

// What `Template::execute` gets as `user`.
struct FormatContext {
  std::string_view line;  // __line__
  TimestampNs time = 0;   // __timestamp__
  templates::RegexCache* regexes = nullptr;
};

// Shared, built once.
const std::shared_ptr<const templates::FunctionTable>& template_functions();

}  // namespace tocayo::logql
