// SPDX-License-Identifier: Apache-2.0
#include "main/config_keys.h"

namespace tocayo {

const std::vector<ConfigKey>& config_keys() {
  using enum ConfigType;
  static const std::vector<ConfigKey> kKeys = {
      {"server.listen", text, "127.0.0.1:4600",
       "address and port of the one port; another address than loopback turns login on"},
      {"server.external_url", text, "",
       "how people reach this server; its path is the base path of the page and the APIs"},
      {"server.base_path", text, "", "path prefix, when it differs from the path of external_url"},
      {"server.web_dir", text, "", "serve the page from this directory instead of the binary (development)"},
      {"server.tls.cert_file", text, "", "PEM certificate chain; empty = plain HTTP"},
      {"server.tls.key_file", text, "", "PEM private key"},
      {"server.cors_origins", list, "", "origins that may call the APIs from a browser; empty = none"},
      {"server.io_threads", integer, "1", "threads for network and timers"},
      {"server.max_connections", integer, "20000", "open connections at most"},
      {"server.role", choice, "all", "which parts of the program run", false, {"all"}},
      {"server.shutdown_grace", duration, "10s", "time that running requests get at shutdown"},
      {"server.log_level", choice, "info", "smallest level that is logged", true, {"debug", "info", "warn", "error"}},
      {"storage.data_dir", text, "data", "where everything durable lives"},
      {"storage.blob", text, "local", "where immutable blocks go: local"},
      {"storage.journal", text, "local", "where arriving data is made durable: local"},
      {"storage.db", text, "sqlite", "where small mutable state lives: sqlite"},
      {"memory.limit", bytes, "0", "memory budget of the process; 0 = 75 % of the cgroup or the host"},
      {"auth.mode",
       choice,
       "auto",
       "auto: login everywhere but on loopback; off; required",
       false,
       {"auto", "off", "required"}},
      {"auth.allow_off_on_public_address", boolean, "false",
       "says in words that auth.mode off on a public address is meant"},
      {"agent.enabled", boolean, "true", "watch this machine and this program"},
      {"agent.config", text, "", "file with scrape_configs (Prometheus format)", true},
      {"agent.textfile_directory", text, "", "directory of *.prom files (textfile collector)"},
      {"metrics.shards", integer, "0", "shards of the head; 0 = cores"},
      {"metrics.wal.mode",
       choice,
       "batch",
       "batch: acknowledge after fsync; interval: fsync every second; off",
       false,
       {"batch", "interval", "off"}},
      {"metrics.wal.segment_size", bytes, "64MiB", "size of a journal segment"},
      {"metrics.wal.checkpoint_interval", duration, "5m", "longest time between checkpoints"},
      {"metrics.head.window", duration, "2h", "span of samples kept in the head before they are sealed into a segment"},
      {"metrics.head.idle_timeout", duration, "20m", "a series without samples for so long leaves memory"},
      {"metrics.retention.time", duration, "30d", "how long samples are kept", true},
      {"metrics.query.timeout", duration, "2m", "longest run of one query"},
      {"metrics.query.max_samples", integer, "50000000", "samples that one query may hold"},
      {"metrics.query.max_concurrency", integer, "0", "queries at the same time; 0 = twice the cores"},
      {"metrics.query.lookback_delta", duration, "5m", "how far an instant selector looks back"},
      {"metrics.query.default_eval_interval", duration, "1m", "resolution of a subquery without one"},
      {"metrics.features", list, "",
       "promql-experimental-functions, promql-duration-expr, promql-extended-range-selectors, "
       "promql-binop-fill-modifiers, "
       "promql-delayed-name-removal, use-start-timestamps, type-and-unit-labels, promql-per-step-stats"},
      {"limits", tree, "", "limits of every tenant, with Mimir's key names", true},
      {"overrides_file", text, "", "file of per-tenant limits (overrides: {tenant: {…}}), read again every 10 s"},
  };
  return kKeys;
}

}  // namespace tocayo
