// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_file.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace tocayo::agent {
namespace {

AgentFile parsed(std::string_view text) {
  auto file = parse_agent_file(text, "a.yml", "/etc/agent");
  EXPECT_TRUE(file) << (file ? "" : file.error().message);
  return file ? std::move(*file) : AgentFile{};
}
std::string refused(std::string_view text) {
  auto file = parse_agent_file(text, "a.yml", "/etc/agent");
  EXPECT_FALSE(file) << text;
  return file ? "" : file.error().message;
}

TEST(AgentFile, APrometheusFileIsTakenAsItIs) {
  auto file = parsed(
      "global: {scrape_interval: 20s, external_labels: {site: a}}\nrule_files: [x.yml]\n"
      "scrape_configs: [{job_name: j}]\nremote_write: [{url: http://h/w}]\n");
  EXPECT_EQ(file.kind, AgentFileKind::prometheus);
  EXPECT_EQ(file.scrape.jobs.at(0).interval, std::chrono::seconds(20));
  EXPECT_EQ(file.destinations.at(0).url, "http://h/w");
  EXPECT_EQ(file.destinations.at(0).rules.external_labels.get("site"), "a");
  ASSERT_EQ(file.scrape.warnings.size(), 1U) << "remote_write is read, rules are not";
  EXPECT_NE(file.scrape.warnings[0].find("rule_files"), std::string::npos);
  EXPECT_FALSE(file.host);
  EXPECT_EQ(parsed("").kind, AgentFileKind::prometheus);
}

TEST(AgentFile, OurOwnHasServerAndHost) {
  auto file = parsed(
      "server: {url: https://obs.example:4600, token_file: token}\nlog_level: debug\n"
      "host:\n  instance: web-1\n  collectors: {arp: false, softirqs: true}\n  textfile_directories: [tf, /abs]\n"
      "  flags: ['--collector.diskstats.device-exclude', '^ram']\n"
      "scrape_configs: [{job_name: j}]\n");
  EXPECT_EQ(file.kind, AgentFileKind::tocayo);
  EXPECT_EQ(file.server.url, "https://obs.example:4600");
  EXPECT_EQ(file.server.token_file, "/etc/agent/token");
  EXPECT_EQ(file.log_level, "debug");
  ASSERT_TRUE(file.host);
  EXPECT_TRUE(file.host->enabled);
  EXPECT_EQ(file.host->instance, "web-1");
  EXPECT_EQ(file.host->flags,
            (std::vector<std::string>{
                "--collector.diskstats.device-exclude", "^ram", "--collector.textfile.directory=/etc/agent/tf",
                "--collector.textfile.directory=/abs", "--no-collector.arp", "--collector.softirqs"}));
  EXPECT_EQ(file.scrape.jobs.size(), 1U);
  EXPECT_NE(refused("host: {collectors: {nosuch: true}}\n").find("a.yml:1:"), std::string::npos);
  EXPECT_NE(refused("host: {collectors: {perf: true}}\n").find("not supported"), std::string::npos);
  EXPECT_NE(refused("host:\n  flags: ['--collector.netdev.device-include=(']\n").find("a.yml:2:"), std::string::npos);
  EXPECT_NE(refused("server: {token: x}\n").find("a.yml:1:9: server: url is missing"), std::string::npos)
      << refused("server: {token: x}\n");
  EXPECT_NE(refused("server: {url: u}\nhosts: {}\n").find("a.yml:2:1: unknown key"), std::string::npos);
  EXPECT_NE(refused("host: {}\notlp: {listn: x}\n").find("a.yml:2:8: unknown key \"listn\""), std::string::npos);
  EXPECT_NE(refused("host: {}\nlog_level: loud\n").find("a.yml:2:"), std::string::npos);
}

constexpr std::string_view kStatic =
    "server: {log_level: warn, http_listen_port: 12345}\n"
    "metrics:\n"
    "  wal_directory: /tmp/wal\n"
    "  global:\n"
    "    scrape_interval: 30s\n"
    "    external_labels: {cluster: c1}\n"
    "    remote_write: [{url: 'http://mimir/api/v1/push', basic_auth: {username: u, password: p}}]\n"
    "  configs:\n"
    "    - name: one\n"
    "      scrape_configs: [{job_name: a}]\n"
    "    - name: two\n"
    "      scrape_configs: [{job_name: b, scrape_interval: 5s}]\n"
    "integrations:\n"
    "  agent: {enabled: true}\n"
    "  node_exporter:\n"
    "    enabled: true\n"
    "    rootfs_path: /host/root\n"
    "    disable_collectors: [arp]\n"
    "    filesystem_mount_points_exclude: ^/(dev|proc)\n";

TEST(AgentFile, GrafanaAgentsStaticModeIsUnderstood) {
  auto file = parsed(kStatic);
  EXPECT_EQ(file.kind, AgentFileKind::grafana_agent);
  ASSERT_EQ(file.scrape.jobs.size(), 2U);
  EXPECT_EQ(file.scrape.jobs[0].interval, std::chrono::seconds(30));
  EXPECT_EQ(file.scrape.jobs[1].interval, std::chrono::seconds(5));
  ASSERT_EQ(file.destinations.size(), 1U);
  EXPECT_EQ(file.destinations[0].rules.external_labels.get("cluster"), "c1");
  EXPECT_EQ(file.destinations[0].http.basic_password, "p");
  EXPECT_EQ(file.log_level, "warn");
  ASSERT_TRUE(file.host);
  EXPECT_TRUE(file.host->enabled);
  EXPECT_EQ(file.host->job, "integrations/node_exporter");
  EXPECT_EQ(file.host->flags, (std::vector<std::string>{"--path.rootfs=/host/root",
                                                        "--collector.filesystem.mount-points-exclude=^/(dev|proc)",
                                                        "--no-collector.arp"}));
  EXPECT_EQ(file.warnings.size(), 2U) << fmt::format("{}", fmt::join(file.warnings, "\n"));
}

TEST(AgentFile, PartsOfAStaticFileMayBeMissing) {
  EXPECT_TRUE(parsed("metrics: {global: {scrape_interval: 5s}}\n").scrape.jobs.empty());
  EXPECT_TRUE(parsed("metrics:\nintegrations:\n").destinations.empty());
  EXPECT_TRUE(parsed("metrics: {configs: }\n").scrape.jobs.empty());
  EXPECT_FALSE(parsed("integrations: {node_exporter: {}}\n").host->enabled);
  EXPECT_NE(refused("metrics: {configs: 1}\n").find("a list is expected"), std::string::npos);
}

TEST(AgentFile, WhatCannotBeHonouredIsRefusedWithItsPlace) {
  auto with = [](std::string_view tail) { return std::string(kStatic) + std::string(tail); };
  EXPECT_NE(refused(with("traces: {configs: []}\n")).find("a.yml:20:"), std::string::npos);
  EXPECT_NE(refused(with("  redis_exporter: {enabled: true}\n")).find("a.yml:20:3: the integration redis_exporter"),
            std::string::npos)
      << refused(with("  redis_exporter: {enabled: true}\n"));
  EXPECT_NE(refused(with("    perf_cpus: 1\n")).find("a.yml:20:5: unknown key"), std::string::npos);
  EXPECT_NE(refused("metrics:\n  configs:\n  - {name: a, remote_write: [{url: 'http://a/'}]}\n"
                    "  - {name: b, remote_write: [{url: 'http://b/'}]}\n")
                .find("a.yml:4:5: this remote_write is another"),
            std::string::npos);
  EXPECT_NE(refused("metrics:\n  configs:\n  - name: a\n    scrape_configs:\n    - job_name: j\n      bogus: 1\n")
                .find("a.yml:6:7: unknown key"),
            std::string::npos);
  EXPECT_NE(refused("metrics: {configs: [{name: a, host_filter: true}]}\n").find("host_filter"), std::string::npos);
  EXPECT_NE(refused("clients: [{url: 'http://loki/', colour: red}]\n").find("a.yml:1:33: unknown key \"colour\""),
            std::string::npos);
}

TEST(AgentFile, Receivers) {
  const auto otlp = parsed("otlp: {listen: ':4318', labels: {a: b}, tls: {cert_file: c, key_file: /k}}\n").otlp;
  ASSERT_TRUE(otlp);
  EXPECT_EQ(otlp->push->listen, "0.0.0.0:4318");
  EXPECT_EQ(otlp->push->tls_certificate_file, "/etc/agent/c");
  EXPECT_EQ(otlp->push->tls_key_file, "/k");
  EXPECT_EQ(otlp->push->labels, (Labels{{"a", "b"}}));
  EXPECT_EQ(parsed("otlp:\n").otlp->push->listen, "127.0.0.1:4318");
  EXPECT_EQ(parsed("logs: {configs: []}\n").kind, AgentFileKind::grafana_agent);
  auto file = parsed(
      "scrape_configs:\n- job_name: a\n  loki_push_api:\n    server: {http_listen_port: 3500, grpc_listen_port: 0, "
      "http_path_prefix: /x/, http_server_read_timeout: 0s, log_level: info}\n    use_incoming_timestamp: true\n"
      "- job_name: b\n  syslog: {listen_address: '[::1]:514', listen_protocol: udp, max_message_length: 9000}\n");
  ASSERT_EQ(file.kind, AgentFileKind::promtail);
  const auto& loki = *file.logs.jobs.at(0).push;
  EXPECT_EQ(loki.listen, "127.0.0.1:3500");
  EXPECT_EQ(loki.base_path, "/x");
  EXPECT_EQ(loki.read_timeout, std::chrono::hours(24));
  EXPECT_TRUE(loki.keep_time);
  ASSERT_EQ(file.warnings.size(), 2U) << "no address, and what has no meaning";
  EXPECT_NE(file.warnings[1].find("grpc_listen_port, log_level has no meaning here"), std::string::npos);
  const auto& syslog = *file.logs.jobs.at(1).push;
  EXPECT_EQ(syslog.address(), "udp://[::1]:514");
  EXPECT_EQ(syslog.syslog.max_message, 9000U);
  for (const std::string& text : std::vector<std::string>{
           "{loki_push_api: {server: {proxy_protocol_enabled: true}}",
           "{loki_push_api: {server: {tls_min_version: VersionTLS13}}",
           "{loki_push_api: {server: {http_path_prefix: x}}", "{loki_push_api: {server: {}, labels: {'a-b': c}}",
           "{loki_push_api: {server: {}}, journal: {}", "{loki_push_api: {server: {}}, syslog: {listen_address: ':1'}",
           "{syslog: {listen_address: ':1', syslog_format: x}",
           "{syslog: {listen_address: ':1', max_message_length: 1}",
           "{syslog: {listen_address: ':1', tls_config: {cert_file: a}}"}) {
    const auto error = refused("scrape_configs: [" + text + ", job_name: a}]\n");
    EXPECT_TRUE(error.starts_with("a.yml:1:")) << error;
  }
}

TEST(AgentFile, LogsInEveryKindOfFile) {
  constexpr std::string_view kJobs =
      "[{job_name: a, static_configs: [{labels: {job: a, __path__: /var/log/a.log}}]},"
      " {job_name: b, journal: {}, pipeline_stages: [{labels: {x: }}]}]";
  const auto clients = "[{url: 'http://loki/loki/api/v1/push', tenant_id: t}]";
  auto file = parsed(fmt::format("server: {{log_level: warn}}\nclients: {}\nscrape_configs: {}\n", clients, kJobs));
  EXPECT_EQ(file.kind, AgentFileKind::promtail);
  EXPECT_EQ(file.log_level, "warn");
  ASSERT_EQ(file.logs.jobs.size(), 2U);
  EXPECT_EQ(file.logs.destinations.at(0).tenant, "t");
  EXPECT_TRUE(file.scrape.jobs.empty());
  // Without clients the keys of its jobs tell.
  EXPECT_EQ(parsed(fmt::format("scrape_configs: {}\n", kJobs)).kind, AgentFileKind::promtail);

  file = parsed(fmt::format("server: {{url: 'http://s'}}\nlogs: {{scrape_configs: {}, machine: false}}\n", kJobs));
  EXPECT_EQ(file.kind, AgentFileKind::tocayo);
  EXPECT_EQ(file.logs.jobs.size(), 2U);
  EXPECT_EQ(file.machine_logs, false);

  file =
      parsed(fmt::format("logs:\n  positions_directory: /tmp\n  global: {{clients: {}}}\n  configs:\n"
                         "  - {{name: one, scrape_configs: {}}}\n  - {{name: two, scrape_configs: {}}}\nmetrics:\n",
                         clients, kJobs, kJobs));
  EXPECT_EQ(file.kind, AgentFileKind::grafana_agent);
  ASSERT_EQ(file.logs.jobs.size(), 4U);
  EXPECT_EQ(file.logs.jobs[2].name, "two/a");
  EXPECT_EQ(file.logs.destinations.size(), 1U);
  EXPECT_NE(refused("metrics:\nlogs:\n  configs:\n  - {name: a, clients: [{url: 'http://a/'}]}\n"
                    "  - {name: b, clients: [{url: 'http://b/'}]}\n")
                .find("a.yml:5:5: configurations of logs that send to different places"),
            std::string::npos);
}

}  // namespace
}  // namespace tocayo::agent
