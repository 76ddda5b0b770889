// SPDX-License-Identifier: Apache-2.0
// MB per CPU second of one thread for parsing with a filter on one key, over lines as services write them. Not a test:
// run by hand (clang++ or the bench target links this file with the room).
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "logql/pipeline/pipeline.h"
#include "logql/syntax/parser.h"

namespace {

using namespace tocayo;
using namespace tocayo::logql;

std::vector<std::string> lines(bool json) {
  std::vector<std::string> out;
  for (int i = 0; i < 20'000; ++i) {
    const std::string n = std::to_string(i * 7919 % 10'000);
    const std::string status = i % 50 == 0 ? "500" : "200";
    out.push_back(
        json
            ? R"({"ts":"2026-11-25T03:04:05.)" + n +
                  R"(Z","level":"info","caller":"http/handler.go:231","msg":"request done","method":"GET","path":"/api/v1/orders/)" +
                  n + R"(","user_agent":"Mozilla/5.0 [X11; Linux x86_64]","status":)" + status + R"(,"duration_ms":)" +
                  n + R"(,"req":{"id":"9f8e)" + n + R"(","bytes":)" + n + "}}"
            : "ts=2026-11-25T03:04:05." + n +
                  "Z level=info caller=http/handler.go:231 msg=\"request done\" method=GET path=/api/v1/orders/" + n +
                  " user_agent=\"Mozilla/5.0 [X11; Linux x86_64]\" status=" + status + " duration_ms=" + n +
                  " req_id=9f8e" + n + " bytes=" + n);
  }
  return out;
}

void measure(const char* name, const std::vector<std::string>& rows, const std::string& stages,
             const PipelineOptions& options) {
  auto query = parse_log("{x=\"1\"} " + stages);
  auto pipeline = Pipeline::compile(query->stages, options);
  Processor processor(*pipeline);
  const Labels stream{{"app", "shop"}, {"env", "prod"}};
  processor.set_stream(stream);
  std::size_t bytes = 0;
  std::size_t kept = 0;
  const std::clock_t start = std::clock();  // of this process' CPU, so that a busy machine does not matter
  double seconds = 0;
  do {
    for (const std::string& row : rows) {
      bytes += row.size();
      if (!processor.process(1, row, {})) continue;
      ++kept;
      if (options.grouping) kept += processor.labels()->id & 0;
    }
    seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  } while (seconds < 0.3);
  std::printf("%-44s %7.0f MB/s  %5.0f ns/line  kept %zu\n", name, static_cast<double>(bytes) / seconds / 1e6,
              seconds * 1e9 / (static_cast<double>(bytes) / static_cast<double>(rows[0].size())), kept);
}

}  // namespace

int main() {
  const auto json = lines(true);
  const auto logfmt = lines(false);
  PipelineOptions plain;
  PipelineOptions by;
  by.grouping = Grouping{{"status"}, false};
  measure("json | status=\"500\"", json, "| json | status=\"500\"", plain);
  measure("json | status>=500", json, "| json | status>=500", plain);
  measure("json status | status=\"500\"", json, "| json status | status=\"500\"", plain);
  measure("sum by (status) … | json", json, "| json", by);
  measure("json, all labels kept", json, "| json", plain);
  measure("logfmt | status=\"500\"", logfmt, "| logfmt | status=\"500\"", plain);
  measure("logfmt | status>=500", logfmt, "| logfmt | status>=500", plain);
  measure("sum by (status) … | logfmt", logfmt, "| logfmt", by);
  measure("logfmt, all labels kept", logfmt, "| logfmt", plain);
  measure("pattern", logfmt, "| pattern `ts=<ts> level=<level> <_> status=<status> <_>` | status=\"500\"", plain);
  measure("line_format {{.msg}} {{.status}}", logfmt, "| logfmt | line_format `{{.msg}} {{.status}}`", plain);
}
