// SPDX-License-Identifier: Apache-2.0
// Any line through every parser, and any text as pattern, path, address and template. Results must be well-formed.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/labels.h"
#include "logql/pipeline/ip_filter.h"
#include "logql/pipeline/parsers.h"
#include "logql/pipeline/pipeline.h"

namespace {

using namespace tocayo;
using namespace tocayo::logql;

std::vector<Processor> processors() {
  std::vector<Processor> all;
  const auto add = [&all](std::vector<Stage> stages) {
    auto pipeline = Pipeline::compile(stages);
    if (!pipeline) std::abort();
    all.emplace_back(std::move(*pipeline));
  };
  add({Stage{{}, JsonStage{}}});
  add({Stage{{}, JsonStage{{{"a", "a.b[0]"}, {"c", "c"}, {"d", "[1].x"}}}}});
  add({Stage{{}, LogfmtStage{}}});
  add({Stage{{}, LogfmtStage{true, true, {}}}});
  add({Stage{{}, LogfmtStage{false, false, {{"a", "b"}, {"c", "c"}}}}});
  add({Stage{{}, PatternStage{"<a> - <b>[<_>] <c>"}}});
  add({Stage{{}, RegexpStage{"(?P<a>\\w+) (?P<b>.*)"}}});
  add({Stage{{}, UnpackStage{}}, Stage{{}, LogfmtStage{}}});
  add({Stage{{}, DecolorizeStage{}}, Stage{{}, JsonStage{}},
       Stage{{}, LineFormatStage{"{{.a}} {{range .}}{{.}}{{end}}"}}});
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static auto all = processors();
  static const Labels stream{{"app", "s"}, {"a", "1"}};
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const logs::LabelView metadata[] = {{"c", "m"}};
  for (Processor& processor : all) {
    processor.set_stream(stream);
    if (!processor.process(1, text, metadata)) continue;
    const LabelResult& result = *processor.labels();
    if (result.all.size() != result.stream.size() + result.metadata.size() + result.parsed.size()) std::abort();
    for (std::size_t i = 1; i < result.all.size(); ++i) {
      if (!(result.all[i - 1].name < result.all[i].name)) std::abort();  // sorted, each once
    }
    if (processor.memory_bytes() > (64 << 20)) processor.forget();
  }
  (void)LinePattern::compile(text);
  (void)JsonPaths::compile(std::vector<Extraction>{{"x", std::string(text)}});
  if (const auto filter = IpFilter::create(text)) (void)filter->found_in(text);
  return 0;
}
