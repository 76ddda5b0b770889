// SPDX-License-Identifier: Apache-2.0
#include <signal.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>

#include "core/config.h"
#include "core/log.h"
#include "core/text.h"
#include "main/agent_command.h"
#include "main/config_keys.h"
#include "main/logql_command.h"
#include "main/logs_store_command.h"
#include "main/program.h"
#include "main/promql_command.h"

extern char** environ;

namespace tocayo {
namespace {

struct ConfigArguments {
  std::string file;
  std::vector<std::string> sets;
};

Result<Config> load_config(const ConfigArguments& arguments) {
  Config::Sources sources;
  sources.file = arguments.file;
  if (!arguments.file.empty()) sources.text = TRY(read_file(arguments.file, 4 << 20));
  for (char** variable = environ; *variable != nullptr; ++variable) {
    std::string_view text = *variable;
    auto equals = text.find('=');
    if (!text.starts_with("TOCAYO_") || equals == std::string_view::npos) continue;
    std::string_view name = text.substr(0, equals);
    // Those of the tests and tools beside the program.
    if (name == "TOCAYO_BINARY" || name == "TOCAYO_FULL" || name.starts_with("TOCAYO_TEST_") ||
        name.starts_with("TOCAYO_BENCH_") || name == "TOCAYO_CONFORMANCE_DIR")
      continue;
    sources.environment.emplace_back(name, text.substr(equals + 1));
  }
  sources.sets = arguments.sets;
  return Config::load(config_keys(), sources);
}

int fail_with(const Error& error) {
  std::fprintf(stderr, "tocayo: %s\n", error.message.c_str());
  return 1;
}

int serve(const ConfigArguments& arguments, const std::string& port_file) {
  // Signals go to sigwait below, in every thread.
  sigset_t signals;
  sigemptyset(&signals);
  for (int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, number);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  // Connections, segments and journals: as many files as the administrator allows.
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  auto config = load_config(arguments);
  if (!config) return fail_with(config.error());
  log::set_level(*log::parse_level(config->text("server.log_level")));
  ProgramOptions options{std::move(*config), [arguments] { return load_config(arguments); }, port_file};
  auto program = Program::start(std::move(options));
  if (!program) return fail_with(program.error());
  for (;;) {
    int number = 0;
    if (sigwait(&signals, &number) != 0) continue;
    if (number != SIGHUP) break;
    (void)(*program)->reload();  // says in the log what went wrong
  }
  return (*program)->stop() ? 0 : 1;
}

}  // namespace
}  // namespace tocayo

int main(int argc, char** argv) {
  using namespace tocayo;
  CLI::App app{"Tocayo: metrics, logs, alerts, on-call and incidents as one program"};
  app.require_subcommand(1);
  ConfigArguments arguments;
  std::string port_file;
  auto with_config = [&](CLI::App* command) {
    command->add_option("--config", arguments.file, "configuration file (tocayo.yaml)");
    command->add_option("--set", arguments.sets, "section.key=value, wins over file and environment")
        ->take_all()
        ->allow_extra_args(false);
    return command;
  };
  auto* serve_command = with_config(app.add_subcommand("serve", "run the server"));
  serve_command->add_option("--port-file", port_file, "write the address here once the port answers");

  AgentArguments agent;
  auto* agent_command = app.add_subcommand("agent", "collect on this machine and send it to a server");
  agent_command->add_option("--server", agent.server,
                            "URL of a Tocayo server; with it, this machine's own metrics are sent");
  agent_command->add_option("--token", agent.token, "token of the server");
  agent_command->add_option("--token-file", agent.token_file, "the same in a file, read again at each use");
  agent_command
      ->add_option("--config", agent.configs,
                   "configuration: of this program, of Prometheus, or of Grafana Agent's static mode")
      ->take_all()
      ->allow_extra_args(false);
  agent_command->add_option("--data-dir", agent.data_dir, "where queues are kept");
  agent_command->add_option("--listen", agent.listen, "address of /metrics, /targets, /queues, /config")
      ->capture_default_str();
  agent_command->add_option("--instance", agent.instance,
                            "instance label of this machine's metrics; default: the host name");
  agent_command->add_option("--log-level", agent.log_level, "debug, info, warn or error")->capture_default_str();
  agent_command->add_option("--port-file", agent.port_file, "write the address here once the port answers");
  agent_command->add_flag("--host-metrics", agent.host_metrics, "this machine's metrics also without --server");
  agent_command->add_flag("--no-host-metrics", agent.no_host_metrics, "no metrics of this machine");
  agent_command->add_flag("--no-host-logs", agent.no_host_logs, "no logs of this machine but those that a file names");
  agent_command->add_option("--node-exporter-compat", agent.node_exporter_compat,
                            "address to answer on as node_exporter does, such as :9100");
  agent_command->allow_extras();
  agent_command->footer("node_exporter's flags --collector.*, --no-collector.* and --path.* are understood.");
  agent_command->add_flag("--check-config", agent.check_config,
                          "read the configuration, print it without secrets, exit");

  auto* config_command = app.add_subcommand("config", "check, show and describe the configuration");
  config_command->require_subcommand(1);
  auto* check =
      with_config(config_command->add_subcommand("check", "read it like serve does, print what is in effect"));
  auto* defaults = config_command->add_subcommand("defaults", "every key with its default and meaning");
  auto* schema = config_command->add_subcommand("schema", "JSON Schema of tocayo.yaml");

  auto* promql_command = app.add_subcommand("promql", "tools of the query language");
  promql_command->require_subcommand(1);
  std::vector<std::string> test_paths;
  auto* test = promql_command->add_subcommand("test", "run promqltest files or directories of them");
  test->add_option("path", test_paths)->required();
  std::string expression;
  auto* format = promql_command->add_subcommand("format", "pretty-print an expression");
  format->add_option("expression", expression)->required();

  auto* logql_command = app.add_subcommand("logql", "tools of the query language for logs");
  logql_command->require_subcommand(1);
  std::vector<std::string> table_paths;
  auto* tables = logql_command->add_subcommand("test", "run LogQL tables or directories of them over the real store");
  tables->add_option("path", table_paths, "*.yaml or directories")->required();
  std::string log_expression;
  auto* log_format = logql_command->add_subcommand("format", "pretty-print a query");
  log_format->add_option("query", log_expression)->required();

  LogsCommands logs_commands(app);

  auto* version = app.add_subcommand("version", "print the version");
  bool short_version = false;
  version->add_flag("--short", short_version, "the number only");

  CLI11_PARSE(app, argc, argv);
  if (*serve_command) return serve(arguments, port_file);
  if (*agent_command) {
    agent.host_flags = agent_command->remaining();
    return run_agent(agent);
  }
  if (*check) {
    auto config = load_config(arguments);
    if (!config) return fail_with(config.error());
    std::cout << config->to_yaml(false);
    return 0;
  }
  if (*defaults) {
    std::cout << Config::load(config_keys(), {})->to_yaml(true);
    return 0;
  }
  if (*schema) {
    std::cout << Config::json_schema(config_keys()) << "\n";
    return 0;
  }
  if (*test) return promql_test(test_paths);
  if (*format) return promql_format(expression);
  if (*tables) return logql_test(table_paths);
  if (*log_format) return logql_format(log_expression);
  if (logs_commands.chosen()) return logs_commands.run();
  if (short_version)
    std::cout << version_text() << "\n";
  else
    std::cout << "tocayo " << version_text() << " (compatible with Prometheus " << compatible_prometheus_version()
              << ")\n";
  return 0;
}
