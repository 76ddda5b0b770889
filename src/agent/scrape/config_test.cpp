// SPDX-License-Identifier: Apache-2.0
#include "agent/scrape/config.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "agent/host/testing.h"

namespace tocayo::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

ScrapeFile parsed(std::string_view text) {
  auto file = parse_scrape_file(text, "p.yml", "/etc/prometheus");
  EXPECT_TRUE(file) << (file ? "" : file.error().message);
  return file ? std::move(*file) : ScrapeFile{};
}

// The one job of a file with these fields.
ScrapeConfig job(std::string_view fields, std::string_view global = "") {
  auto file = parsed(fmt::format("{}scrape_configs:\n- job_name: j\n{}", global, fields));
  EXPECT_EQ(file.jobs.size(), 1U);
  return file.jobs.empty() ? ScrapeConfig{} : file.jobs[0];
}

std::string error_of(std::string_view text) {
  auto file = parse_scrape_file(text, "p.yml", "/etc/prometheus");
  return file ? "accepted" : file.error().message;
}

std::string job_error(std::string_view fields, std::string_view global = "") {
  return error_of(fmt::format("{}scrape_configs:\n- job_name: j\n{}", global, fields));
}

void expect_error(const std::string& error, std::string_view place, std::string_view text) {
  EXPECT_TRUE(error.starts_with(place)) << error;
  EXPECT_NE(error.find(text), std::string::npos) << error;
}

TEST(ScrapeConfigFile, HasPrometheusDefaults) {
  ScrapeConfig c = job("");
  EXPECT_EQ(c.interval, seconds(60));
  EXPECT_EQ(c.timeout, seconds(10));
  EXPECT_EQ(c.metrics_path, "/metrics");
  EXPECT_EQ(c.scheme, "http");
  EXPECT_TRUE(c.honor_timestamps);
  EXPECT_TRUE(c.enable_compression);
  EXPECT_TRUE(c.http.follow_redirects);
  EXPECT_FALSE(c.honor_labels);
  EXPECT_TRUE(c.utf8_names);
  EXPECT_EQ(accept_header(c),
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/"
            "openmetrics-text;version=0.0.1;q=0.5,"
            "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2");
}

TEST(ScrapeConfigFile, JobsInheritGlobal) {
  const char* global =
      "global:\n  scrape_interval: 5s\n  sample_limit: 7\n  body_size_limit: 1KiB\n  scrape_native_histograms: true\n"
      "  always_scrape_classic_histograms: true\n  extra_scrape_metrics: false\n  scrape_failure_log_file: fail.log\n"
      "  external_labels: {region: eu}\n";
  ScrapeConfig c = job("", global);
  EXPECT_EQ(c.interval, seconds(5));
  EXPECT_EQ(c.timeout, seconds(5));  // ten seconds do not fit
  EXPECT_EQ(c.sample_limit, 7U);
  EXPECT_EQ(c.body_size_limit, 1024U);
  EXPECT_TRUE(c.scrape_native_histograms);
  EXPECT_TRUE(c.always_scrape_classic_histograms);
  EXPECT_FALSE(c.extra_scrape_metrics);
  EXPECT_EQ(c.failure_log_file, "/etc/prometheus/fail.log");
  EXPECT_EQ(c.protocols.front(), "PrometheusProto");
  ScrapeConfig own = job(
      "  scrape_interval: 0s\n  sample_limit: 0\n  scrape_timeout: 1s\n  scrape_native_histograms: false\n", global);
  EXPECT_EQ(own.interval, seconds(5));  // nought is what global says, as in Prometheus
  EXPECT_EQ(own.sample_limit, 7U);
  EXPECT_EQ(own.timeout, seconds(1));
  EXPECT_EQ(own.protocols.front(), "OpenMetricsText1.0.0");
  EXPECT_EQ(parsed(std::string(global)).external_labels, (Labels{{"region", "eu"}}));
}

TEST(ScrapeConfigFile, ListedProtocolsStayAsListed) {
  ScrapeConfig c = job("  scrape_native_histograms: true\n  scrape_protocols: [PrometheusText0.0.4]\n");
  EXPECT_EQ(c.protocols, std::vector<std::string>{"PrometheusText0.0.4"});
  expect_error(job_error("  scrape_protocols: []\n"), "p.yml:3:", "cannot be empty");
  expect_error(job_error("  scrape_protocols: [Nonsense]\n"), "p.yml:3:", "unknown scrape protocol Nonsense");
  expect_error(job_error("  scrape_protocols: [PrometheusProto, PrometheusProto]\n"), "p.yml:3:", "duplicated");
  expect_error(job_error("  fallback_scrape_protocol: text\n"), "p.yml:3:", "unknown scrape protocol");
}

TEST(ScrapeConfigFile, EscapingFollowsValidation) {
  EXPECT_EQ(job("  metric_name_validation_scheme: legacy\n").escaping, "underscores");
  EXPECT_EQ(job("", "global: {metric_name_validation_scheme: legacy}\n").escaping, "underscores");
  EXPECT_EQ(
      job("  metric_name_validation_scheme: utf8\n", "global: {metric_name_validation_scheme: legacy}\n").escaping,
      "allow-utf-8");
  EXPECT_EQ(job("", "global: {metric_name_escaping_scheme: dots}\n").escaping, "dots");
  expect_error(job_error("  metric_name_validation_scheme: legacy\n  metric_name_escaping_scheme: allow-utf-8\n"),
               "p.yml:4:", "validation scheme is not set to UTF8");
  expect_error(job_error("  metric_name_escaping_scheme: rot13\n"), "p.yml:3:", "rot13");
  expect_error(error_of("global: {metric_name_validation_scheme: ascii}\n"), "p.yml:1:", "ascii");
}

TEST(ScrapeConfigFile, EveryKeyOfPrometheusIsReadOrRefused) {
  // scrape_config and global of Prometheus 3.14. What is accepted has an effect; the rest is an error with its place.
  ScrapeConfig c =
      job("  honor_labels: true\n  honor_timestamps: false\n  track_timestamps_staleness: true\n  params: {module: [a, "
          "b], x: y}\n"
          "  scrape_interval: 20s\n  scrape_timeout: 15s\n  scrape_protocols: [PrometheusProto]\n  "
          "fallback_scrape_protocol: PrometheusText0.0.4\n"
          "  scrape_native_histograms: true\n  always_scrape_classic_histograms: true\n  "
          "convert_classic_histograms_to_nhcb: false\n"
          "  scrape_failure_log_file: /var/log/f\n  metrics_path: /m\n  scheme: https\n  enable_compression: false\n  "
          "body_size_limit: 5MB\n"
          "  sample_limit: 1\n  target_limit: 2\n  label_limit: 3\n  label_name_length_limit: 4\n  "
          "label_value_length_limit: 5\n"
          "  native_histogram_bucket_limit: 6\n  native_histogram_min_bucket_factor: 1.5\n  keep_dropped_targets: 8\n"
          "  metric_name_validation_scheme: utf8\n  metric_name_escaping_scheme: dots\n  extra_scrape_metrics: false\n"
          "  basic_auth: {username: u, password_file: pw}\n  tls_config: {ca_file: ca.pem, server_name: s, "
          "min_version: TLS12, insecure_skip_verify: true}\n"
          "  proxy_url: http://proxy\n  no_proxy: localhost\n  follow_redirects: false\n  enable_http2: false\n"
          "  http_headers: {X-A: {values: [v], secrets: [s], files: [f]}}\n"
          "  relabel_configs: [{action: drop, source_labels: [a], regex: b}]\n  metric_relabel_configs: [{action: "
          "labeldrop, regex: b}]\n"
          "  static_configs: [{targets: ['a:1', 'b:2'], labels: {l: v}}]\n  file_sd_configs: [{files: ['t/*.json', "
          "/x.YML], refresh_interval: 1m}]\n"
          "  http_sd_configs: [{url: 'http://h/sd', refresh_interval: 2m}]\n  dns_sd_configs: [{names: [n], type: "
          "aaaa, port: 9}]\n");
  EXPECT_TRUE(c.honor_labels && !c.honor_timestamps && c.track_timestamps_staleness && !c.enable_compression &&
              !c.extra_scrape_metrics);
  EXPECT_EQ(c.params.at("module"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(c.params.at("x"), std::vector<std::string>{"y"});
  EXPECT_EQ(c.body_size_limit, 5'000'000U);
  EXPECT_EQ(c.native_histogram_min_bucket_factor, 1.5);
  EXPECT_EQ(c.failure_log_file, "/var/log/f");
  EXPECT_EQ(c.http.basic_password_file, "/etc/prometheus/pw");
  EXPECT_EQ(c.http.ca_file, "/etc/prometheus/ca.pem");
  EXPECT_EQ(c.http.headers.at(0).files, std::vector<std::string>{"/etc/prometheus/f"});
  EXPECT_EQ(c.static_groups.at(0).targets.size(), 2U);
  EXPECT_EQ(c.file_discovery.at(0).files, (std::vector<std::string>{"/etc/prometheus/t/*.json", "/x.YML"}));
  EXPECT_EQ(c.http_discovery.at(0).refresh_interval, seconds(120));
  EXPECT_EQ(c.dns_discovery.at(0).type, "AAAA");

  for (std::string_view line : {"proxy_connect_header: {a: [b]}", "scrape_classic_histograms: true",
                                "ec2_sd_configs: []", "consul_sd_configs: [{server: x}]", "kubernetes_sd_configs: []",
                                "tls_config: {max_version: TLS13}", "nonsense: 1"}) {
    std::string error = job_error(fmt::format("  {}\n", line));
    EXPECT_TRUE(error.starts_with("p.yml:3:")) << line << " -> " << error;
  }
  expect_error(error_of("global: {nonsense: true}\n"), "p.yml:1:", "nonsense");
  expect_error(error_of("scrape_config_files: ['a*/x.yml']\n"), "p.yml:1:", "invalid scrape config file path");
  expect_error(error_of("nonsense: 1\n"), "p.yml:1:", "nonsense");
}

TEST(ScrapeConfigFile, WrongValuesAreErrorsWithTheirPlace) {
  expect_error(error_of("scrape_configs:\n- scrape_interval: 1s\n"), "p.yml:2:", "job_name is empty");
  expect_error(error_of("scrape_configs:\n- job_name: a\n- job_name: a\n"),
               "p.yml:3:", "multiple scrape configs with job name \"a\"");
  expect_error(error_of("scrape_configs: {}\n"), "p.yml:1:", "a list is expected");
  expect_error(error_of("global:\n  scrape_interval: 5s\n  scrape_timeout: 6s\n"),
               "p.yml:3:", "timeout greater than scrape interval");
  expect_error(job_error("  scrape_interval: 5s\n  scrape_timeout: 6s\n"),
               "p.yml:4:", "timeout greater than scrape interval");
  expect_error(job_error("  scrape_interval: soon\n"), "p.yml:3:", "scrape_interval");
  expect_error(job_error("  sample_limit: -1\n"), "p.yml:3:", "must not be negative");
  expect_error(job_error("  scheme: ftp\n"), "p.yml:3:", "http or https");
  expect_error(job_error("  static_configs: [{targets: ['http://h/']}]\n"), "p.yml:3:", "is not a valid hostname");
  expect_error(job_error("  static_configs: [{target: [h]}]\n"), "p.yml:3:", "did you mean \"targets\"");
  expect_error(job_error("  file_sd_configs: [{files: ['a*/b.json']}]\n"), "p.yml:3:", "not valid for file discovery");
  expect_error(job_error("  file_sd_configs: [{files: [targets]}]\n"), "p.yml:3:", "not valid for file discovery");
  expect_error(job_error("  file_sd_configs: [{}]\n"), "p.yml:3:", "at least one path");
  expect_error(job_error("  http_sd_configs: [{url: 'file:///x'}]\n"), "p.yml:3:", "URL scheme");
  expect_error(job_error("  http_sd_configs: [{url: 'http:///x'}]\n"), "p.yml:3:", "host is missing");
  expect_error(job_error("  dns_sd_configs: [{names: [a], type: A}]\n"), "p.yml:3:", "a port is required");
  expect_error(job_error("  dns_sd_configs: [{names: [a], type: TXT}]\n"),
               "p.yml:3:", "invalid DNS-SD records type TXT");
  expect_error(job_error("  relabel_configs: [{action: replace, regex: '('}]\n"), "p.yml:3:", "");
}

TEST(ScrapeConfigFile, OneWayToAuthenticate) {
  expect_error(job_error("  basic_auth: {username: a}\n  authorization: {credentials: b}\n"),
               "p.yml:", "at most one of basic_auth, oauth2 & authorization");
  expect_error(job_error("  basic_auth: {username: a, password: b, password_file: c}\n"),
               "p.yml:3:", "password & password_file");
  expect_error(job_error("  authorization: {credentials: a, credentials_file: b}\n"),
               "p.yml:3:", "credentials & credentials_file");
  expect_error(job_error("  authorization: {type: Basic}\n"), "p.yml:3:", "basic_auth");
  expect_error(job_error("  bearer_token: a\n  bearer_token_file: b\n"),
               "p.yml:3:", "bearer_token & bearer_token_file");
  expect_error(job_error("  oauth2: {client_id: a}\n"), "p.yml:3:", "token_url");
  expect_error(job_error("  tls_config: {cert_file: a}\n"), "p.yml:3:", "go together");
  expect_error(job_error("  tls_config: {ca: a, ca_file: b}\n"), "p.yml:3:", "ca and ca_file");
  expect_error(job_error("  tls_config: {min_version: SSL3}\n"), "p.yml:3:", "unknown TLS version");
  expect_error(job_error("  no_proxy: x\n"), "p.yml:3:", "proxy_url must also be configured");
  expect_error(job_error("  http_headers: {Authorization: {values: [x]}}\n"), "p.yml:3:", "not allowed");
}

TEST(ScrapeConfigFile, PartsOfOthersAreWarnedOf) {
  auto file = parsed("rule_files: [a]\nalerting: {}\nremote_write: []\n");
  EXPECT_EQ(file.warnings.size(), 3U);
}

TEST(ScrapeConfigFile, SecretsAreHiddenButTellJobsApart) {
  const char* fields = "  basic_auth: {{username: u, password: {0}}}\n  http_headers: {{X: {{secrets: [{0}]}}}}\n";
  ScrapeConfig a = job(fmt::format(fmt::runtime(fields), "hunter2")),
               b = job(fmt::format(fmt::runtime(fields), "hunter3"));
  EXPECT_EQ(a.yaml.find("hunter2"), std::string::npos) << a.yaml;
  EXPECT_NE(a.yaml.find("<secret>"), std::string::npos);
  EXPECT_EQ(a.yaml, b.yaml);
  EXPECT_NE(a.fingerprint, b.fingerprint);
  EXPECT_EQ(a.fingerprint, job(fmt::format(fmt::runtime(fields), "hunter2")).fingerprint);
  EXPECT_NE(a.fingerprint,
            job(fmt::format(fmt::runtime(fields), "hunter2"), "global: {scrape_interval: 7s}\n").fingerprint);
  EXPECT_EQ(a.fingerprint,
            job(fmt::format(fmt::runtime(fields), "hunter2"), "global: {external_labels: {a: b}}\n").fingerprint);
}

TEST(ScrapeConfig, FurtherFilesAreReadWithTheGlobalPart) {
  FixtureTree tree;
  tree.write("conf.d/b.yml", "scrape_configs:\n- job_name: b\n  file_sd_configs: [{files: [t.json]}]\n");
  tree.write("conf.d/a.yml", "scrape_configs: [{job_name: a, convert_classic_histograms_to_nhcb: false}]\n");
  tree.write("conf.d/other.txt", "nonsense: [");
  const std::string main =
      "global: {scrape_interval: 7s, convert_classic_histograms_to_nhcb: true}\nscrape_config_files: ['conf.d/*.yml']\n"
      "scrape_configs: [{job_name: main}]\n";
  auto file = parse_scrape_file(main, "p.yml", tree.path());
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->jobs.size(), 3U);
  EXPECT_EQ(file->jobs[0].job_name, "main");
  EXPECT_EQ(file->jobs[1].job_name, "a");
  EXPECT_EQ(file->jobs[2].job_name, "b");
  EXPECT_EQ(file->jobs[2].interval, std::chrono::seconds(7));
  EXPECT_TRUE(file->jobs[2].convert_classic_histograms_to_nhcb);
  EXPECT_FALSE(file->jobs[1].convert_classic_histograms_to_nhcb);
  EXPECT_NE(file->jobs[2].file_discovery.at(0).files.at(0).find("conf.d/t.json"), std::string::npos)
      << "relative to the file that names it";
  EXPECT_EQ(file->files.size(), 2U);
  tree.write("conf.d/c.yml", "scrape_configs:\n- job_name: a\n");
  auto twice = parse_scrape_file(main, "p.yml", tree.path());
  ASSERT_FALSE(twice);
  EXPECT_NE(twice.error().message.find("conf.d/c.yml:2:3: found multiple scrape configs with job name \"a\""),
            std::string::npos)
      << twice.error().message;
  tree.write("conf.d/c.yml", "global: {}\n");
  auto foreign = parse_scrape_file(main, "p.yml", tree.path());
  ASSERT_FALSE(foreign);
  EXPECT_NE(foreign.error().message.find("conf.d/c.yml:1:"), std::string::npos) << foreign.error().message;
}

}  // namespace
}  // namespace tocayo::agent
