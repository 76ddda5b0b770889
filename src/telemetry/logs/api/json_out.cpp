// SPDX-License-Identifier: Apache-2.0
#include "logs/api/json_out.h"

#include <fmt/format.h>

#include <cmath>

#include "logs/api/params.h"

namespace tocayo::logs::api {

namespace {

// Length of the UTF-8 sequence at text[at], 0 when there is none.
std::size_t utf8_length(std::string_view text, std::size_t at) {
  const auto byte = static_cast<unsigned char>(text[at]);
  const std::size_t length = byte < 0x80 ? 1 : byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC2 ? 2 : 0;
  if (length == 0 || at + length > text.size() || (length > 1 && !is_valid_utf8(text.substr(at, length)))) return 0;
  return length;
}

// As Prometheus and Loki print a sample: shortest digits, no exponent below 1e21.
std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  if (value == 0) return std::signbit(value) ? "-0" : "0";
  const double size = std::abs(value);
  if (size >= 1e-6 && size < 1e21) {
    auto text = fmt::format("{}", value);
    if (text.find('e') == std::string::npos) {
      if (text.ends_with(".0")) text.resize(text.size() - 2);
      return text;
    }
    // The shortest digits, moved to plain notation.
    const auto e = text.find('e');
    std::string digits;
    std::size_t point = 0;
    bool negative = false;
    for (char c : text.substr(0, e)) {
      if (c == '-') {
        negative = true;
      } else if (c == '.') {
        point = digits.size();
      } else {
        digits.push_back(c);
      }
    }
    if (point == 0) point = digits.size();
    const int shift = static_cast<int>(point) + std::stoi(text.substr(e + 1));
    std::string plain;
    if (shift <= 0) {
      plain = "0." + std::string(static_cast<std::size_t>(-shift), '0') + digits;
    } else if (static_cast<std::size_t>(shift) >= digits.size()) {
      plain = digits + std::string(static_cast<std::size_t>(shift) - digits.size(), '0');
    } else {
      plain = digits.substr(0, static_cast<std::size_t>(shift)) + "." + digits.substr(static_cast<std::size_t>(shift));
    }
    return (negative ? "-" : "") + plain;
  }
  return fmt::format("{}", value);
}

void append_stats(std::string& out, const logql::QueryResult& result, const ResultFormat& format) {
  const auto& stats = result.stats;
  const auto& scan = stats.scan;
  const double seconds = std::max(stats.exec_seconds, 1e-9);
  constexpr std::string_view kCache =
      R"({"entriesFound":0,"entriesRequested":0,"entriesStored":0,"bytesReceived":0,"bytesSent":0,"requests":0,"downloadTime":0,"queryLengthServed":0})";
  auto store = [](std::uint64_t chunks, std::uint64_t head_lines, std::uint64_t bytes, std::uint64_t lines,
                  std::uint64_t touched, std::uint64_t kept, std::uint64_t metadata) {
    return fmt::format(
        R"({{"totalChunksRef":{},"totalChunksDownloaded":{},"chunksDownloadTime":0,"queryReferencedStructuredMetadata":false,"queryUsedV2Engine":false,"chunk":{{"headChunkBytes":0,"headChunkLines":{},"decompressedBytes":{},"decompressedLines":{},"compressedBytes":{},"totalDuplicates":0,"postFilterLines":{},"headChunkStructuredMetadataBytes":0,"decompressedStructuredMetadataBytes":{}}},"chunkRefsFetchTime":0,"congestionControlLatency":0,"pipelineWrapperFilteredLines":0}})",
        chunks, chunks, head_lines, bytes, lines, touched, kept, metadata);
  };
  out += fmt::format(
      R"("stats":{{"summary":{{"bytesProcessedPerSecond":{},"linesProcessedPerSecond":{},"totalBytesProcessed":{},"totalLinesProcessed":{},"execTime":{},"queueTime":{},"subqueries":0,"totalEntriesReturned":{},"splits":0,"shards":0,"totalPostFilterLines":{},"totalStructuredMetadataBytesProcessed":{}}},)",
      static_cast<std::uint64_t>(static_cast<double>(scan.bytes) / seconds),
      static_cast<std::uint64_t>(static_cast<double>(scan.rows) / seconds), scan.bytes, scan.rows, stats.exec_seconds,
      format.queue_seconds, stats.entries_returned, stats.lines_kept, scan.metadata_bytes);
  out +=
      fmt::format(R"("querier":{{"store":{},"querierExecTime":{}}},)",
                  store(scan.groups, 0, scan.bytes, scan.rows, scan.bytes_read, stats.lines_kept, scan.metadata_bytes),
                  stats.exec_seconds);
  out += fmt::format(
      R"("ingester":{{"totalReached":1,"totalChunksMatched":0,"totalBatches":0,"totalLinesSent":{},"store":{}}},)",
      scan.head_rows, store(0, scan.head_rows, 0, 0, 0, 0, 0));
  out += fmt::format(
      R"("cache":{{"chunk":{0},"index":{0},"result":{0},"statsResult":{0},"volumeResult":{0},"seriesResult":{0},"labelResult":{0},"instantMetricResult":{0},"logResult":{0},"taskResult":{0}}},)",
      kCache);
  out += fmt::format(
      R"("index":{{"totalChunks":{},"postFilterChunks":{},"shardsDuration":0,"usedBloomFilters":true,"totalStreams":0,"chunkRefsLookupTime":0,"bloomFilterTime":0}},)",
      scan.groups, scan.groups - scan.groups_skipped);
  out += fmt::format(
      R"("tocayo":{{"segments":{},"rowGroups":{},"rowGroupsSkipped":{},"bytesLogical":{},"bytesRead":{},"rowsSelected":{},"headRows":{},"peakMemory":{},"spilledBytes":{}}}}})",
      scan.segments, scan.groups, scan.groups_skipped, scan.bytes, scan.bytes_read, scan.rows_selected, scan.head_rows,
      stats.peak_memory, stats.spilled_bytes);
}

void append_streams(std::string& out, const logql::LogValue& value, bool categorize) {
  out += R"("resultType":"streams",)";
  if (categorize) out += R"("encodingFlags":["categorize-labels"],)";
  out += R"("result":[)";
  bool first = true;
  for (const auto& stream : logql::group_streams(value, categorize)) {
    out += first ? R"({"stream":)" : R"(,{"stream":)";
    first = false;
    append_json_labels(out, stream.labels);
    out += R"(,"values":[)";
    for (std::size_t i = 0; i < stream.lines.size(); ++i) {
      const auto& line = *stream.lines[i];
      out += fmt::format(R"({}["{}",)", i == 0 ? "" : ",", line.time);
      append_json_text(out, line.line);
      if (categorize) {
        out += ",{";
        if (!line.labels->metadata.empty()) {
          out += R"("structuredMetadata":)";
          append_json_labels(out, line.labels->metadata);
        }
        if (!line.labels->parsed.empty()) {
          out += line.labels->metadata.empty() ? R"("parsed":)" : R"(,"parsed":)";
          append_json_labels(out, line.labels->parsed);
        }
        out += "}";
      }
      out += "]";
    }
    out += "]}";
  }
  out += "],";
  if (value.next) out += fmt::format(R"("tocayo":{{"cursor":"{}"}},)", cursor_text(*value.next));
}

}  // namespace

void append_json_text(std::string& out, std::string_view text) {
  out.push_back('"');
  std::size_t done = 0;
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&') {
      ++i;
      continue;
    }
    const auto length = utf8_length(text, i);
    if (length > 1) {
      i += length;
      continue;
    }
    out.append(text, done, i - done);
    if (length == 0) {
      out += "\\ufffd";
    } else if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(static_cast<char>(c));
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else {
      out += fmt::format("\\u{:04x}", c);
    }
    done = ++i;
  }
  out.append(text, done, text.size() - done);
  out.push_back('"');
}

void append_json_labels(std::string& out, std::span<const Label> labels) {
  out.push_back('{');
  bool first = true;
  for (const auto& label : labels) {
    if (!first) out.push_back(',');
    first = false;
    append_json_text(out, label.name);
    out.push_back(':');
    append_json_text(out, label.value);
  }
  out.push_back('}');
}

void append_json_labels(std::string& out, const Labels& labels) {
  append_json_labels(out, std::vector<Label>(labels.begin(), labels.end()));
}

void append_sample(std::string& out, TimestampNs time, double value) {
  const auto ms = time / 1'000'000;
  out += ms % 1000 == 0 ? fmt::format("[{},", ms / 1000) : fmt::format("[{}.{:03},", ms / 1000, ms % 1000);
  out += "\"" + number(value) + "\"]";
}

std::string query_body(const logql::QueryResult& result, const ResultFormat& format) {
  std::string out = R"({"status":"success",)";
  if (!result.warnings.empty()) {
    out += R"("warnings":[)";
    for (std::size_t i = 0; i < result.warnings.size(); ++i) {
      if (i != 0) out += ",";
      append_json_text(out, result.warnings[i]);
    }
    out += "],";
  }
  out += R"("data":{)";
  if (const auto* lines = std::get_if<logql::LogValue>(&result.value)) {
    append_streams(out, *lines, format.categorize);
  } else if (const auto* matrix = std::get_if<logql::MatrixValue>(&result.value)) {
    out += R"("resultType":"matrix","result":[)";
    bool first = true;
    for (const auto& series : matrix->series) {
      out += first ? R"({"metric":)" : R"(,{"metric":)";
      first = false;
      append_json_labels(out, series.labels);
      out += R"(,"values":[)";
      for (std::size_t i = 0; i < series.points.size(); ++i) {
        if (i != 0) out += ",";
        append_sample(out, series.points[i].time, series.points[i].value);
      }
      out += "]}";
    }
    out += "],";
  } else if (const auto* vector = std::get_if<logql::VectorValue>(&result.value)) {
    out += R"("resultType":"vector","result":[)";
    bool first = true;
    for (const auto& sample : vector->samples) {
      out += first ? R"({"metric":)" : R"(,{"metric":)";
      first = false;
      append_json_labels(out, sample.labels);
      out += R"(,"value":)";
      append_sample(out, sample.time, sample.value);
      out += "}";
    }
    out += "],";
  } else if (const auto* scalar = std::get_if<logql::ScalarValue>(&result.value)) {
    out += R"("resultType":"scalar","result":)";
    append_sample(out, scalar->time, scalar->value);
    out += ",";
  }
  append_stats(out, result, format);
  out += "}}";
  return out;
}

std::string names_body(std::span<const std::string> names) {
  std::string out = R"({"status":"success","data":[)";
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i != 0) out += ",";
    append_json_text(out, names[i]);
  }
  return out + "]}";
}

}  // namespace tocayo::logs::api
