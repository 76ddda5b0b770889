// SPDX-License-Identifier: Apache-2.0
// What is read: configurations, paths, encodings, compressed and container files.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "agent/logs/decompress.h"
#include "agent/logs/encoding.h"
#include "agent/logs/log_config.h"
#include "agent/logs/paths.h"
#include "agent/logs/positions.h"
#include "agent/logs/sources.h"
#include "agent/logs/tail_file.h"
#include "core/text.h"
#include "core/yaml.h"

namespace tocayo::agent {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class TempDir {
 public:
  TempDir() {
    std::string pattern = (fs::temp_directory_path() / "tocayo-sources-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path = pattern;
  }
  ~TempDir() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  void write(const std::string& name, std::string_view text) const {
    fs::create_directories(fs::path(path + "/" + name).parent_path());
    std::ofstream(path + "/" + name, std::ios::binary) << text;
  }
  std::string path;
};

std::string gzip(std::string_view text) {
  z_stream stream{};
  EXPECT_EQ(::deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(text.size() + 100, '\0');
  stream.next_in = reinterpret_cast<unsigned char*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<unsigned>(text.size());
  stream.next_out = reinterpret_cast<unsigned char*>(out.data());
  stream.avail_out = static_cast<unsigned>(out.size());
  EXPECT_EQ(::deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  ::deflateEnd(&stream);
  return out;
}

std::string zstd(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

std::vector<std::string> read_all(TailFile& file) {
  std::vector<std::string> lines;
  const auto keep = [&](std::string_view line, std::uint64_t, std::uint64_t) { lines.emplace_back(line); };
  for (;;) {
    auto taken = file.read(1 << 20, std::chrono::steady_clock::now(), keep);
    if (!taken || *taken == 0) break;
  }
  file.finish(keep);
  return lines;
}

Result<LogsConfig> parse(const std::string& text) {
  std::vector<std::string> warnings;
  return parse_logs_node(TRY(yaml::parse(text, "p.yml")), "p.yml", "/etc/promtail", warnings);
}

TEST(LogConfigTest, APromtailFile) {
  auto config = parse(R"(
clients:
- url: http://loki:3100/loki/api/v1/push
  tenant_id: t1
  batchwait: 2s
  batchsize: 102400
  backoff_config: {min_period: 100ms, max_period: 10s, max_retries: 5}
  basic_auth: {username: u, password_file: secret}
  external_labels: {cluster: c}
  timeout: 15s
positions: {filename: positions.yaml}
limits_config: {readline_rate_enabled: true, readline_rate: 5, max_line_size: 256kb, max_line_size_truncate: true}
target_config: {sync_period: 10s}
scrape_configs:
- job_name: system
  encoding: utf-16le
  pipeline_stages: [{regex: {expression: '(?P<x>.)'}}]
  static_configs:
  - targets: [localhost]
    labels: {job: varlogs, __path__: logs/*.log, __path_exclude__: logs/x.log}
  - labels: {job: two, __path__: /var/log/two}
- job_name: journal
  journal: {max_age: 12h, json: true, path: /j, labels: {job: journal}, matches: _TRANSPORT=kernel PRIORITY=3}
  relabel_configs: [{source_labels: [__journal__systemd_unit], target_label: unit}]
- {job_name: pods, kubernetes_pods: {}}
- {job_name: old, decompression: {enabled: true, format: gz, initial_delay: 10s}, static_configs: [{labels: {__path__: /x.gz, a: b}}]}
)");
  ASSERT_TRUE(config) << config.error().message;
  ASSERT_EQ(config->destinations.size(), 1U);
  const auto& to = config->destinations[0];
  EXPECT_EQ(to.name, "http://loki:3100/loki/api/v1/push");
  EXPECT_EQ(to.tenant, "t1");
  EXPECT_EQ(to.batch_wait, 2s);
  EXPECT_EQ(to.batch_size, 102400U);
  EXPECT_EQ(to.min_backoff, 100ms);
  EXPECT_EQ(to.max_backoff, 10s);
  EXPECT_EQ(to.timeout, 15s);
  EXPECT_EQ(to.http.basic_user, "u");
  EXPECT_EQ(to.http.basic_password_file, "/etc/promtail/secret");
  EXPECT_EQ(to.external_labels.get("cluster"), "c");
  EXPECT_EQ(config->positions_file, "/etc/promtail/positions.yaml");
  EXPECT_EQ(config->limits.rate, 5);
  EXPECT_TRUE(config->limits.truncate);
  ASSERT_EQ(config->jobs.size(), 4U);
  EXPECT_EQ(config->jobs[0].targets.size(), 2U);
  EXPECT_EQ(config->jobs[0].targets[0].get("__path__"), "/etc/promtail/logs/*.log");
  EXPECT_EQ(config->jobs[0].targets[1].get("__address__"), "localhost");
  EXPECT_EQ(config->jobs[0].encoding, "utf-16le");
  ASSERT_TRUE(config->jobs[1].journal);
  EXPECT_EQ(config->jobs[1].journal->max_age, 12h);
  EXPECT_TRUE(config->jobs[1].journal->json);
  EXPECT_EQ(config->jobs[1].journal->matches, (std::vector<std::string>{"_TRANSPORT=kernel", "PRIORITY=3"}));
  EXPECT_EQ(config->jobs[2].pods, "/var/log/pods");
  EXPECT_FALSE(config->jobs[2].pipeline.empty());
  EXPECT_EQ(config->jobs[3].compression, Compression::gzip);
  EXPECT_EQ(config->jobs[3].initial_delay, 10s);
}

TEST(LogConfigTest, MistakesAreLocated) {
  const std::pair<const char*, const char*> cases[] = {
      {"clients: [{tenant_id: x}]", "p.yml:1:11: url is missing"},
      {"clients: [{url: ftp://x}]", "p.yml:1:17: url: must begin with http"},
      {"clients: [{url: 'http://x', batchwait: 1}]", "p.yml:1:40: batchwait: time: missing unit"},
      {"clients: [{url: 'http://x'}, {url: 'http://x'}]", "p.yml:1:30: two clients are called"},
      {"clients: [{url: 'http://x', bearer_token: a, basic_auth: {username: b}}]", "p.yml:1:"},
      {"scrape_configs: [{job_name: a}]", "p.yml:1:18: the job has no source"},
      {"scrape_configs: [{static_configs: []}]", "p.yml:1:18: job_name is missing"},
      {"scrape_configs: [{job_name: a, static_configs: [{labels: {a: b}}]}]",
       "p.yml:1:49: static_configs: the label __path__ is missing"},
      {"scrape_configs: [{job_name: a, kubernetes_sd_configs: [{role: pod}]}]",
       "p.yml:1:55: kubernetes_sd_configs: is not supported; kubernetes_pods"},
      {"scrape_configs: [{job_name: a, consul_sd_configs: [{}]}]", "p.yml:1:32: consul_sd_configs is not supported"},
      {"scrape_configs: [{job_name: a, syslog: {listen_address: x}}]",
       "p.yml:1:57: listen_address: HOST:PORT is expected"},
      {"scrape_configs: [{job_name: a, journal: {max_age: 1day}}]", "p.yml:1:51: max_age: time: unknown unit"},
      {"scrape_configs: [{job_name: a, journal: {matches: x}}]", "p.yml:1:51: matches: \"x\" is not FIELD=value"},
      {"scrape_configs: [{job_name: a, journal: {}, encoding: utf-99}]", "p.yml:1:55: encoding: unknown encoding"},
      {"scrape_configs: [{job_name: a, journal: {}, encoding: utf-32}]",
       "p.yml:1:55: encoding: utf-32 is not supported"},
      {"scrape_configs: [{job_name: a, journal: {}, decompression: {enabled: true, format: bz2}}]",
       "p.yml:1:84: format: bz2 is not supported"},
      {"scrape_configs: [{job_name: a, journal: {}}, {job_name: a, journal: {}}]", "p.yml:1:46: there are two jobs"},
      {"scrape_configs: [{job_name: a, jurnal: {}}]", "p.yml:1:32: unknown key \"jurnal\"; did you mean \"journal\"?"},
      {"scrape_configs: [{job_name: a, journal: {}, pipeline_stages: [{nothing: }]}]", "p.yml:1:64: unknown stage"},
      {"limits_config: {readline_rate: 0, readline_rate_enabled: true}", "p.yml:1:32: readline_rate: must be"},
  };
  for (const auto& [text, wanted] : cases) {
    auto config = parse(text);
    ASSERT_FALSE(config) << text;
    EXPECT_TRUE(config.error().message.starts_with(wanted)) << text << "\n  " << config.error().message;
  }
}

TEST(LogConfigTest, TargetsAreRelabelled) {
  auto config = parse(R"(
scrape_configs:
- job_name: a
  static_configs:
  - labels: {__path__: /a, app: x, __meta_dir: /b}
  - labels: {__path__: /c, app: drop}
  - labels: {__path__: /d, app: y, __host__: elsewhere}
  - labels: {__path__: /e, app: z, __host__: here}
  relabel_configs:
  - {source_labels: [app], regex: drop, action: drop}
  - {source_labels: [__meta_dir], regex: (.+), target_label: __path__, replacement: '$1/*.log'}
)");
  ASSERT_TRUE(config) << config.error().message;
  const auto targets = targets_of(config->jobs[0], {}, "here");
  ASSERT_EQ(targets.size(), 2U);
  EXPECT_EQ(targets[0].pattern, "/b/*.log");
  EXPECT_EQ(targets[0].labels, (Labels{{"app", "x"}}));
  EXPECT_EQ(targets[1].pattern, "/e");
}

TEST(PathsTest, PatternsFindFiles) {
  TempDir dir;
  for (const char* name : {"a.log", "b.log", "c.txt", "x/a.log", "x/y/deep.log", "x/y/z/deeper.log", ".hidden.log"})
    dir.write(name, "x");
  fs::create_directory_symlink(dir.path, dir.path + "/x/loop");
  const auto names = [&](const std::string& pattern) {
    std::vector<std::string> out;
    for (const auto& path : expand_path(dir.path + pattern)) out.push_back(path.substr(dir.path.size()));
    return out;
  };
  using List = std::vector<std::string>;
  EXPECT_EQ(names("/*.log"), (List{"/.hidden.log", "/a.log", "/b.log"}));
  EXPECT_EQ(names("/**/*.log"),
            (List{"/.hidden.log", "/a.log", "/b.log", "/x/a.log", "/x/y/deep.log", "/x/y/z/deeper.log"}));
  EXPECT_EQ(names("/x/**/deep*.log"), (List{"/x/y/deep.log", "/x/y/z/deeper.log"}));
  EXPECT_EQ(names("/{a,c}.{log,txt}"), (List{"/a.log", "/c.txt"}));
  EXPECT_EQ(names("/[bc].*"), (List{"/b.log", "/c.txt"}));
  EXPECT_TRUE(names("/none/**/x").empty());
  EXPECT_TRUE(path_matches("/var/**/x.log", "/var/x.log"));
  EXPECT_TRUE(path_matches("/var/**/x.log", "/var/a/b/x.log"));
  EXPECT_FALSE(path_matches("/var/*/x.log", "/var/a/b/x.log"));
  EXPECT_TRUE(path_matches("/var/{a,b}*.log", "/var/b1.log"));
  EXPECT_TRUE(path_matches("/var/**", "/var/a/b"));
  EXPECT_FALSE(path_matches("/var/a", "/var/a/b"));
}

TEST(EncodingTest, Utf16AndOthers) {
  TempDir dir;
  const auto utf16 = [](std::u16string_view text, bool big) {
    std::string out;
    for (const char16_t c : text) {
      const char low = static_cast<char>(c & 0xff), high = static_cast<char>(c >> 8);
      out += big ? high : low;
      out += big ? low : high;
    }
    return out;
  };
  const std::u16string text = u"\uFEFFfirst \u00e4\u20ac\r\nsecond \U0001F600\nਊ line feed bytes inside\nlast";
  for (const bool big : {false, true}) {
    dir.write("x.log", utf16(text, big));
    auto file = TailFile::open(dir.path + "/x.log", 0, {.encoding = big ? "UTF-16BE" : "utf-16le"});
    ASSERT_TRUE(file);
    EXPECT_EQ(read_all(*file), (std::vector<std::string>{"first ä€", "second 😀", "ਊ line feed bytes inside", "last"}));
  }
  dir.write("w.log", "\x80 caf\xe9\nx\n");
  auto file = TailFile::open(dir.path + "/w.log", 0, {.encoding = "windows-1252"});
  ASSERT_TRUE(file);
  EXPECT_EQ(read_all(*file), (std::vector<std::string>{"€ café", "x"}));
  // Half a surrogate pair.
  dir.write("bad.log", utf16(u"a\xD800z\nb\n", false));
  auto bad = TailFile::open(dir.path + "/bad.log", 0, {.encoding = "utf-16le"});
  ASSERT_TRUE(bad);
  const auto lines = read_all(*bad);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_TRUE(lines[0].starts_with("a\xEF\xBF\xBD")) << lines[0];
  EXPECT_EQ(lines[1], "b");
}

TEST(EncodingTest, LinesInPiecesOfAnyLength) {
  // The same lines whatever the file grows by.
  TempDir dir;
  std::string bytes;
  for (const char16_t c : std::u16string_view(u"ab\nc\n\nlong line\r\n")) {
    bytes += static_cast<char>(c & 0xff);
    bytes += static_cast<char>(c >> 8);
  }
  for (std::size_t step = 1; step <= 5; ++step) {
    dir.write("x.log", "");
    auto file = TailFile::open(dir.path + "/x.log", 0, {.encoding = "utf-16le"});
    ASSERT_TRUE(file);
    std::vector<std::string> lines;
    std::uint64_t reached = 0;
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      std::ofstream(dir.path + "/x.log", std::ios::app | std::ios::binary) << bytes.substr(at, step);
      ASSERT_TRUE(file->read(1 << 20, {}, [&](std::string_view line, std::uint64_t begin, std::uint64_t end) {
        EXPECT_EQ(begin, reached);
        reached = end;
        lines.emplace_back(line);
      }));
    }
    EXPECT_EQ(lines, (std::vector<std::string>{"ab", "c", "", "long line"})) << step;
    EXPECT_EQ(reached, bytes.size());
  }
}

TEST(DecompressTest, GzipAndZstdFromAnyPlace) {
  TempDir dir;
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += "line " + std::to_string(i * 7919 % 100'003) + "\n";
  const auto half = text.find('\n', text.size() / 2) + 1;
  dir.write("a.gz", gzip(text.substr(0, half)) + gzip(text.substr(half)));
  dir.write("a.zst", zstd(text.substr(0, half)) + zstd(text.substr(half)));
  for (const auto& [name, kind] : {std::pair("/a.gz", Compression::gzip), std::pair("/a.zst", Compression::zstd)}) {
    auto file = TailFile::open(dir.path + name, 0, {.compression = kind});
    ASSERT_TRUE(file);
    EXPECT_EQ(read_all(*file).size(), 20'000U) << name;
    EXPECT_TRUE(file->complete()) << name;
    EXPECT_EQ(file->offset(), text.size());
    auto rest = TailFile::open(dir.path + name, half, {.compression = kind});
    ASSERT_TRUE(rest);
    const auto lines = read_all(*rest);
    EXPECT_EQ(lines.front() + "\n", text.substr(half, text.find('\n', half) + 1 - half));
    // A file that is still being written: what is there so far, and no end.
    const auto whole = read_file(dir.path + name);
    dir.write("part", std::string_view(*whole).substr(0, whole->size() - 10));
    auto part = TailFile::open(dir.path + "/part", 0, {.compression = kind});
    ASSERT_TRUE(part);
    EXPECT_GT(read_all(*part).size(), 100U);
    EXPECT_FALSE(part->complete());
  }
  dir.write("bad.gz", "\x1f\x8b no gzip at all");
  auto bad = TailFile::open(dir.path + "/bad.gz", 0, {.compression = Compression::gzip});
  ASSERT_TRUE(bad);
  EXPECT_FALSE(bad->read(1 << 20, {}, [](std::string_view, std::uint64_t, std::uint64_t) {}));
}

TEST(TailFileTest, AFileThatIsWrittenAnewIsNoticed) {
  TempDir dir;
  dir.write("a.log", std::string(300, 'a') + "\n");
  auto file = TailFile::open(dir.path + "/a.log", 0);
  ASSERT_TRUE(file);
  EXPECT_EQ(read_all(*file).size(), 1U);
  // Longer than before at once: only its beginning tells.
  std::ofstream(dir.path + "/a.log", std::ios::trunc) << std::string(400, 'b') << "\nx\n";
  EXPECT_EQ(read_all(*file).size(), 2U);
  EXPECT_EQ(file->truncations(), 1U);
  EXPECT_EQ(file->cut_offset(), 301U);
}

TEST(SourcesTest, RestsOfRotatedFilesAreFound) {
  TempDir dir;
  std::string text;
  for (int i = 0; i < 100; ++i) text += "line number " + std::to_string(i) + "\n";
  const auto half = text.find("line number 50");
  dir.write("a.log", text);
  auto file = TailFile::open(dir.path + "/a.log", half);
  ASSERT_TRUE(file);
  const Position position{.file = file->identity(), .path = dir.path + "/a.log", .offset = half};
  fs::rename(dir.path + "/a.log", dir.path + "/a.log.1");
  dir.write("a.log", "something new\n");
  auto found = find_remainder(position);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->path, dir.path + "/a.log.1");
  EXPECT_TRUE(found->same_inode);
  // Compressed meanwhile.
  dir.write("a.log.1.gz", gzip(text));
  dir.write("a.log.2.gz", gzip("line number of another time\n" + text));
  fs::remove(dir.path + "/a.log.1");
  found = find_remainder(position);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->path, dir.path + "/a.log.1.gz");
  EXPECT_EQ(found->compression, Compression::gzip);
  fs::remove(dir.path + "/a.log.1.gz");
  EXPECT_FALSE(find_remainder(position));
}

TEST(SourcesTest, PodsAndContainers) {
  const auto pod = pod_labels("/var/log/pods", "/var/log/pods/shop_api-7d4b9c6f5-x2x9z_1b2c/app/0.log");
  ASSERT_TRUE(pod);
  EXPECT_EQ(pod->get("namespace"), "shop");
  EXPECT_EQ(pod->get("pod"), "api-7d4b9c6f5-x2x9z");
  EXPECT_EQ(pod->get("container"), "app");
  EXPECT_EQ(pod->get("app"), "api");
  EXPECT_EQ(pod->get("job"), "shop/api");
  EXPECT_EQ(pod->get("__meta_kubernetes_pod_uid"), "1b2c");
  EXPECT_FALSE(pod_labels("/var/log/pods", "/var/log/pods/nothing/app/0.log"));
  EXPECT_FALSE(pod_labels("/var/log/pods", "/elsewhere/shop_api_1/app/0.log"));
  EXPECT_EQ(app_of_pod("db-0"), "db");
  EXPECT_EQ(app_of_pod("node-exporter-x2x9z"), "node-exporter");
  EXPECT_EQ(app_of_pod("plain"), "plain");
  EXPECT_EQ(app_of_pod("my-service"), "my-service");

  TempDir dir;
  const std::string id(64, 'a');
  dir.write(id + "/" + id + "-json.log", "");
  dir.write(
      id + "/config.v2.json",
      R"({"Name":"/web","Config":{"Image":"nginx:1","Labels":{"com.docker.compose.service":"front","a.b":"c"}}})");
  const auto labels = container_labels(dir.path, dir.path + "/" + id + "/" + id + "-json.log");
  ASSERT_TRUE(labels);
  EXPECT_EQ(labels->get("container"), "web");
  EXPECT_EQ(labels->get("image"), "nginx:1");
  EXPECT_EQ(labels->get("compose_service"), "front");
  EXPECT_EQ(labels->get("__meta_docker_container_label_a_b"), "c");
  fs::remove(dir.path + "/" + id + "/config.v2.json");
  EXPECT_EQ(container_labels(dir.path, dir.path + "/" + id + "/" + id + "-json.log")->get("container"),
            std::string(12, 'a'));
}

TEST(PositionsTest, AllOfItComesBack) {
  TempDir dir;
  {
    auto positions = Positions::open(dir.path + "/positions");
    ASSERT_TRUE(positions);
    EXPECT_TRUE(positions->fresh());
    positions->set({.file = {1, 2, 3, 4}, .path = "/a b", .offset = 5});
    positions->set_cursor("my job", "s=1;i=2");
    positions->set_batch(7);
    ASSERT_TRUE(positions->save());
  }
  auto positions = Positions::open(dir.path + "/positions");
  ASSERT_TRUE(positions);
  EXPECT_FALSE(positions->fresh());
  EXPECT_EQ(positions->batch(), 7U);
  EXPECT_EQ(positions->cursor("my job"), "s=1;i=2");
  ASSERT_NE(positions->find(FileIdentity{1, 2, 0, 0}), nullptr);
  EXPECT_EQ(positions->find(FileIdentity{1, 2, 0, 0})->offset, 5U);
  // As the queues keep them.
  const auto mark = Positions::mark(Position{.file = {1, 2, 3, 4}, .path = "/a b", .offset = 9});
  EXPECT_TRUE(positions->apply(mark));
  EXPECT_EQ(positions->find(FileIdentity{1, 2, 0, 0})->offset, 9U);
  EXPECT_TRUE(positions->apply(Positions::mark("my job", "s=3")));
  EXPECT_EQ(positions->cursor("my job"), "s=3");
  EXPECT_FALSE(positions->apply({"file x", "rubbish"}));
}

TEST(PositionsTest, ThoseOfPromtail) {
  auto positions =
      parse_promtail_positions("positions:\n  /var/log/a.log: \"123\"\n  cursor-journal: s=1;i=2\n", "positions.yaml");
  ASSERT_TRUE(positions);
  EXPECT_EQ(positions->files.at("/var/log/a.log"), 123U);
  EXPECT_EQ(positions->cursors.at("journal"), "s=1;i=2");
  auto bad = parse_promtail_positions("positions: {/a: x}", "positions.yaml");
  ASSERT_FALSE(bad);
  EXPECT_TRUE(bad.error().message.starts_with("positions.yaml:1:")) << bad.error().message;
}

}  // namespace
}  // namespace tocayo::agent
