// SPDX-License-Identifier: Apache-2.0
// The corpus of the log benchmarks: deterministic, five kinds of lines, 300 hosts x 12 services, one day. Lines of one
// kind carry the trace they belong to as structured metadata, some lines a trace.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tocayo::bench {

inline constexpr int kHosts = 300;
inline constexpr int kServices = 12;
inline constexpr std::int64_t kDay = 86'400'000'000'000;
inline constexpr std::int64_t kStart = 1'795'478'400'000'000'000;  // 2026-11-24 00:00 UTC
inline constexpr std::string_view kNeedle = "trace_id=feedfacecafebeef";
inline constexpr std::string_view kTrace = "c0ffee00c0ffee00";  // of one trace in the middle of the day

struct Corpus {
  std::filesystem::path directory;  // of the raw files, one a service
  std::uint64_t bytes = 0;
  std::uint64_t lines = 0;
  std::uint64_t zstd = 0;    // bytes of what `zstd -3` makes of the files
  std::uint64_t errors = 0;  // lines with "error"
  std::uint64_t traced = 0;  // lines of the trace kTrace
};

// Takes uncompressed push bodies of about 1 MiB.
using Send = std::function<void(std::string body)>;

// Sends the corpus while the raw files are written.
Corpus generate(const std::filesystem::path& directory, std::uint64_t bytes, bool as_json, const Send& send);
// Lines of the same kinds that follow the corpus in time, `span` ns of them; no files. Returns their bytes.
std::uint64_t generate_tail(std::uint64_t bytes, std::int64_t span, const Send& send);
// `xz -9e` of each file, two at a time; 0 when there is no xz.
std::uint64_t xz_size(const std::filesystem::path& directory);
// zstd -3 of each file, as a user would keep it; 0 when it fails.
std::uint64_t zstd_size(const std::filesystem::path& directory);

// What is known of a corpus that is kept, beside its directory.
void remember(const Corpus& corpus);
std::optional<Corpus> remembered(const std::filesystem::path& directory);

}  // namespace tocayo::bench
