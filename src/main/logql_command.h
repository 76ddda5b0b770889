// SPDX-License-Identifier: Apache-2.0
// `tocayo logql …`: what needs no server.
#pragma once

#include <string>
#include <vector>

namespace tocayo {

// Runs LogQL tables (files, or directories of *.yaml) over the real store: in its head, after a flush to segments and
// after it was opened again. Prints what differs; the exit code.
int logql_test(const std::vector<std::string>& paths);
// Prints the query as format_query does; the exit code.
int logql_format(const std::string& text);

}  // namespace tocayo
