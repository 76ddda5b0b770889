// SPDX-License-Identifier: Apache-2.0
#include "agent/host/text_format.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <map>

#include "core/percent.h"

namespace tocayo::agent {
namespace {

void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (char c : text) {
    if (c == '\\')
      out += "\\\\";
    else if (c == '\n')
      out += "\\n";
    else if (c == '"' && quotes)
      out += "\\\"";
    else
      out += c;
  }
}

// The line up to the value.
std::string line_head(const Series& series, const Labels& constant) {
  std::string head = series.name;
  bool first = true;
  for (const Label& label : series.labels) {
    std::string_view name = label.name;
    if (name == kMetricName || constant.has(name)) continue;
    if (name.starts_with("exported_") && constant.has(name.substr(9))) name.remove_prefix(9);
    head += first ? '{' : ',';
    first = false;
    head.append(name).append("=\"");
    append_escaped(head, label.value, true);
    head += '"';
  }
  if (!first) head += '}';
  head += ' ';
  return head;
}

}  // namespace

// strconv.FormatFloat(v, 'g', -1, 64): exponent when it is < -4 or >= 6, at least two digits in it.
void append_value(std::string& out, double value) {
  if (std::isnan(value)) return void(out += "NaN");
  if (std::isinf(value)) return void(out += value > 0 ? "+Inf" : "-Inf");
  char text[64];
  double magnitude = std::fabs(value);
  bool exponent = magnitude != 0 && (magnitude < 1e-4 || magnitude >= 1e6);
  auto end = std::to_chars(text, text + sizeof text, value,
                           exponent ? std::chars_format::scientific : std::chars_format::fixed)
                 .ptr;
  out.append(text, end);
}

std::string host_metrics_text(HostCollectors& collectors, const Selection& selection) {
  Collection collection;
  collectors.collect(selection, std::chrono::seconds(1), collection);
  const Labels& constant = collectors.options().constant_labels;
  std::map<std::string_view, std::vector<const Sample*>> families;
  for (const Sample& sample : collection.samples) families[sample.series->family->name].push_back(&sample);
  std::string out;
  out.reserve(collection.samples.size() * 96);
  for (const auto& [name, samples] : families) {
    const Family& family = *samples.front()->series->family;
    if (!family.help.empty()) {
      out.append("# HELP ").append(name).append(" ");
      append_escaped(out, family.help, false);
      out += '\n';
    }
    out.append("# TYPE ").append(name).append(" ").append(to_string(family.type)).append("\n");
    for (const Sample* sample : samples) {
      out += line_head(*sample->series, constant);
      append_value(out, sample->value);
      out += '\n';
    }
  }
  return out;
}

Result<Selection> selection_from_query(const HostCollectors& collectors, std::string_view query) {
  std::vector<std::string> collect, exclude;
  while (!query.empty()) {
    std::size_t end = query.find('&');
    std::string_view pair = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view{} : query.substr(end + 1);
    std::size_t equals = pair.find('=');
    std::string key = form_decode(pair.substr(0, equals));
    std::string value = equals == std::string_view::npos ? std::string() : form_decode(pair.substr(equals + 1));
    if (key == "collect[]")
      collect.push_back(std::move(value));
    else if (key == "exclude[]")
      exclude.push_back(std::move(value));
  }
  return collectors.select(collect, exclude);
}

}  // namespace tocayo::agent
