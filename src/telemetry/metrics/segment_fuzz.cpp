// SPDX-License-Identifier: Apache-2.0
// Segment files whose bytes are arbitrary but whose checksums are right, so that damage reaches the readers behind
// them. The first bytes of the input say how the rest is cut into data and sections.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "core/hash.h"
#include "metrics/files.h"
#include "metrics/segment.h"
#include "metrics/segment_format.h"

using namespace tocayo;
using namespace tocayo::metrics;
using namespace tocayo::metrics::segment_format;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string path = [] {
    const int fd = ::memfd_create("segment", 0);
    return "/proc/self/fd/" + std::to_string(fd);
  }();
  if (size < 12) return 0;
  std::size_t cuts[kSectionCount];
  std::string_view rest(reinterpret_cast<const char*>(data) + 12, size - 12);
  for (std::size_t i = 0; i < kSectionCount; ++i) cuts[i] = get<std::uint16_t>(data + 2 * i) % (rest.size() + 1);
  const auto series_count = get<std::uint32_t>(data + 8) % (rest.size() / kSeriesRowSize + 1);
  cuts[1] = series_count * kSeriesRowSize;

  std::string file(kMagic);
  put(file, kVersion);
  put(file, std::uint64_t{0});
  std::string footer;
  auto take = [&](std::size_t length) {
    std::string_view part = rest.substr(0, std::min(length, rest.size()));
    rest.remove_prefix(part.size());
    return part;
  };
  std::string_view parts[kSectionCount];
  for (std::size_t i = 0; i < kSectionCount; ++i) parts[i] = take(cuts[i]);
  if (parts[1].size() != cuts[1]) return 0;
  // Chunks need a right checksum too: give every series row that of the bytes it points to.
  std::string chunks(rest);
  std::string rows(parts[1]);
  for (std::size_t i = 0; i < series_count; ++i) {
    auto* row = reinterpret_cast<std::uint8_t*>(rows.data()) + i * kSeriesRowSize;
    const std::uint64_t offset = kHeaderSize + get<std::uint64_t>(row + 8) % (chunks.size() + 1);
    const auto length =
        static_cast<std::uint32_t>(get<std::uint32_t>(row + 16) % (kHeaderSize + chunks.size() - offset + 1));
    const auto checksum =
        static_cast<std::uint32_t>(hash64(std::string_view(chunks).substr(offset - kHeaderSize, length)));
    std::memcpy(row + 8, &offset, 8);
    std::memcpy(row + 16, &length, 4);
    std::memcpy(row + 20, &checksum, 4);
  }
  parts[1] = rows;
  file += chunks;
  for (std::string_view part : parts) {
    put(footer, std::uint64_t{file.size()});
    put(footer, std::uint64_t{part.size()});
    put(footer, hash64(part));
    file += part;
  }
  put(footer, std::int64_t{INT64_MIN});
  put(footer, std::int64_t{INT64_MAX});
  put(footer, std::uint64_t{1});
  put(footer, static_cast<std::uint32_t>(series_count));
  put(footer, std::uint32_t{0});
  file += footer;
  put(file, hash64(footer));
  put(file, static_cast<std::uint32_t>(footer.size()));
  file += kEndMagic;

  const int fd = std::atoi(path.c_str() + sizeof("/proc/self/fd/") - 1);
  if (::ftruncate(fd, 0) != 0 || ::lseek(fd, 0, SEEK_SET) != 0 || !write_all(fd, file, path)) std::abort();
  auto segment = Segment::open(path);
  if (!segment || !(*segment)->check_index()) return 0;
  const Segment& s = **segment;
  s.for_each_name([](std::string_view) {});
  s.for_each_pair("", [](std::string_view, std::string_view, std::span<const std::uint32_t>) { return true; });
  static const Matcher regex = *Matcher::create(Matcher::Type::regex, "a", ".+");
  static const Matcher equal = Matcher::equal("a", "b");
  (void)s.select({&regex, 1});
  (void)s.select({&equal, 1});
  (void)s.find({{"a", "b"}});
  RowBuffer buffer;
  for (std::uint32_t i = 0; i < s.series_count(); ++i) {
    (void)s.labels(i);
    buffer.clear();
    (void)s.read(i, INT64_MIN, INT64_MAX, buffer);
  }
  return 0;
}
