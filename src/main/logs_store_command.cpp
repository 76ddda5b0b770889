// SPDX-License-Identifier: Apache-2.0
#include "main/logs_store_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "core/log.h"
#include "core/time.h"
#include "db/sqlite_database.h"
#include "logs/api/json_out.h"
#include "logs/store/offline.h"
#include "logs/store/spill.h"

namespace tocayo {
namespace {

namespace fs = std::filesystem;

int fail_with(const Error& error) {
  std::fprintf(stderr, "tocayo: %s\n", error.message.c_str());
  return 1;
}

std::string time_text(TimestampNs time) { return format_rfc3339(time / 1'000'000); }

// The files that were named; of a directory, those of the store in it.
Result<std::vector<fs::path>> files_of(const std::vector<std::string>& named, const std::string& data_dir) {
  std::vector<fs::path> files;
  if (named.empty()) return logs::segment_files(fs::path(data_dir) / "logs");
  for (const fs::path path : named) {
    if (!fs::is_directory(path)) {
      files.push_back(path);
      continue;
    }
    for (auto& file : TRY(logs::segment_files(fs::exists(path / "segments") ? path : path / "logs")))
      files.push_back(std::move(file));
  }
  return files;
}

int verify(const std::vector<fs::path>& files) {
  std::size_t bad = 0;
  std::uint64_t rows = 0;
  for (const auto& file : files) {
    const auto check = logs::check_segment(file);
    rows += check.info.rows;
    if (check.good()) continue;
    ++bad;
    if (check.unreadable) fmt::print("{}: {}\n", file.string(), check.unreadable->message);
    for (const auto& group : check.damaged) {
      fmt::print("{}: row group {}: {} lines from {} to {} of {} streams cannot be read: {}\n", file.string(),
                 group.group, group.rows, time_text(group.min_time), time_text(group.max_time), group.streams.size(),
                 group.error.message);
      for (std::size_t i = 0; i < std::min<std::size_t>(group.streams.size(), 20); ++i)
        fmt::print("  {}\n", logs::spilled_text(group.streams[i]));
    }
  }
  fmt::print("{} segments, {} lines, {} damaged\n", files.size(), rows, bad);
  return bad == 0 ? 0 : 1;
}

int inspect(const std::vector<fs::path>& files) {
  for (const auto& file : files) {
    auto reader = logs::SegmentReader::open(file);
    if (!reader) return fail_with(reader.error());
    const auto& info = (*reader)->info();
    fmt::print("{}\n", file.string());
    fmt::print("  tenant      {}\n  level       {}\n  group       {:x}\n", info.options.tenant, info.options.level,
               info.options.group_hash);
    fmt::print("  time        {} to {}\n", time_text(info.min_time), time_text(info.max_time));
    fmt::print("  journal     {} to {}\n", info.options.journal_from, info.options.journal_to);
    fmt::print("  lines       {} in {} streams, {} row groups\n", info.rows, info.streams, info.groups);
    fmt::print("  bytes       {} of lines, {} on disk ({:.3f})\n", info.raw_bytes, info.file_bytes,
               static_cast<double>(info.file_bytes) / static_cast<double>(std::max<std::uint64_t>(1, info.raw_bytes)));
    std::vector<const logs::SegmentStream*> streams;
    for (const auto& stream : (*reader)->streams()) streams.push_back(&stream);
    constexpr std::size_t kShown = 20;
    const auto shown = std::min(kShown, streams.size());
    std::partial_sort(streams.begin(), streams.begin() + static_cast<std::ptrdiff_t>(shown), streams.end(),
                      [](const auto* a, const auto* b) { return a->bytes > b->bytes; });
    fmt::print("  {:>12} {:>14}  largest streams\n", "lines", "bytes");
    for (std::size_t i = 0; i < shown; ++i)
      fmt::print("  {:>12} {:>14}  {}\n", streams[i]->rows, streams[i]->bytes, logs::spilled_text(streams[i]->labels));
    auto report = (*reader)->report();
    if (!report) return fail_with(report.error());
    fmt::print("\n{}\n", logs::to_text(*report));
  }
  return 0;
}

// One JSON object a line: {"stream":{…},"ts":"<ns>","line":"…","metadata":{…}}
int dump(const std::vector<fs::path>& files) {
  int status = 0;
  std::string out;
  for (const auto& file : files) {
    auto damaged = logs::read_segment(file, [&](const Labels& labels, const logs::EntryRow& row) -> Result<> {
      const auto [stream, metadata] = logs::as_pushed(labels, row.metadata);
      out = R"({"stream":)";
      logs::api::append_json_labels(out, stream);
      out += fmt::format(R"(,"ts":"{}","line":)", row.time);
      logs::api::append_json_text(out, row.line);
      if (!metadata.empty()) {
        out += R"(,"metadata":{)";
        for (std::size_t i = 0; i < metadata.size(); ++i) {
          if (i != 0) out += ",";
          logs::api::append_json_text(out, metadata[i].name);
          out += ":";
          logs::api::append_json_text(out, metadata[i].value);
        }
        out += "}";
      }
      out += "}\n";
      if (std::fwrite(out.data(), 1, out.size(), stdout) != out.size()) {
        return fail(ErrorKind::unavailable, "cannot write to standard output");
      }
      return {};
    });
    if (!damaged) {
      status = fail_with(damaged.error());
      continue;
    }
    for (const auto& group : *damaged) {
      std::fprintf(stderr, "tocayo: %s: row group %u is left out: %s\n", file.c_str(), group.group,
                   group.error.message.c_str());
      status = 1;
    }
  }
  return status;
}

}  // namespace

struct LogsCommands::Impl {
  CLI::App* command = nullptr;
  CLI::App* verify = nullptr;
  CLI::App* inspect = nullptr;
  CLI::App* dump = nullptr;
  CLI::App* rebuild = nullptr;
  CLI::App* repair = nullptr;
  std::vector<std::string> files;
  std::string data_dir = "./data";

  Result<std::unique_ptr<db::Database>> database() const {
    std::error_code error;
    fs::create_directories(fs::path(data_dir) / "db", error);
    return db::SqliteDatabase::open({.file = data_dir + "/db/tocayo.db"});
  }
  int change() const {
    if (!fs::exists(fs::path(data_dir) / "logs")) {
      return fail_with({ErrorKind::not_found, data_dir + " has no log store; name it with --data-dir"});
    }
    auto opened = database();
    if (!opened) return fail_with(opened.error());
    const logs::OfflineStore store{fs::path(data_dir) / "logs", opened->get(),
                                   [](const std::string& text) { fmt::print("{}\n", text); }};
    if (*rebuild) {
      auto report = logs::rebuild_catalogue(store);
      if (!report) return fail_with(report.error());
      fmt::print("{} segments with {} lines; {} files not needed, {} unreadable\n", report->segments, report->rows,
                 report->superseded, report->unreadable);
      return report->unreadable == 0 ? 0 : 1;
    }
    auto report = logs::repair_store(store);
    if (!report) return fail_with(report.error());
    fmt::print("{} segments checked, {} repaired, {} set aside, {} lines lost\n", report->checked, report->repaired,
               report->set_aside, report->rows_lost);
    return 0;
  }
};

LogsCommands::LogsCommands(CLI::App& program) : impl_(std::make_unique<Impl>()) {
  auto& impl = *impl_;
  impl.command = program.add_subcommand("logs", "the log store's files, while no server has them open");
  impl.command->require_subcommand(1);
  auto with_files = [&](CLI::App* command) {
    command->add_option("file", impl.files, "segment files, or directories of data; default: all below --data-dir");
    command->add_option("--data-dir", impl.data_dir, "storage.data_dir of the server")->capture_default_str();
    return command;
  };
  impl.verify = with_files(impl.command->add_subcommand("verify", "read every line of every segment"));
  impl.inspect = with_files(impl.command->add_subcommand("inspect", "what a segment holds"));
  impl.dump = with_files(impl.command->add_subcommand("dump", "the lines of segments as JSON, one a line"));
  impl.rebuild = impl.command->add_subcommand("rebuild-catalogue", "make a lost catalogue again from the segments");
  impl.repair = impl.command->add_subcommand("repair", "write damaged segments again without what cannot be read");
  for (auto* command : {impl.rebuild, impl.repair})
    command->add_option("--data-dir", impl.data_dir, "storage.data_dir of the server")->capture_default_str();
}

LogsCommands::~LogsCommands() = default;

bool LogsCommands::chosen() const { return impl_->command->parsed(); }

int LogsCommands::run() const {
  log::set_level(*log::parse_level("warn"));
  if (*impl_->rebuild || *impl_->repair) return impl_->change();
  auto files = files_of(impl_->files, impl_->data_dir);
  if (!files) return fail_with(files.error());
  if (*impl_->verify) return verify(*files);
  if (*impl_->inspect) return inspect(*files);
  return dump(*files);
}

}  // namespace tocayo
