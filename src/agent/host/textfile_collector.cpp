// SPDX-License-Identifier: Apache-2.0
// Metrics that others leave in *.prom files (collector textfile). A file is read again when its inode, size or time
// changes.
#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <limits>
#include <map>
#include <optional>

#include "agent/host/collectors.h"
#include "agent/host/scan.h"
#include "agent/host/textfile.h"
#include "core/log.h"

namespace tocayo::agent {
namespace {

constexpr std::size_t kMaxSamples = 100000;

class TextParser {
 public:
  explicit TextParser(std::string_view text) : rest_(text) {}

  Result<TextFile> run() {
    std::string_view line;
    while (scan::next_line(rest_, line)) {
      ++number_;
      line = scan::trim(line);
      if (line.empty()) continue;
      auto parsed = line.front() == '#' ? comment(line) : sample(line);
      if (!parsed) return std::unexpected(std::move(parsed.error()));
      if (file_.samples.size() > kMaxSamples) return error("more than 100000 samples");
    }
    return std::move(file_);
  }

 private:
  std::unexpected<Error> error(std::string message) const {
    return fail(ErrorKind::bad_input, "line " + std::to_string(number_) + ": " + std::move(message));
  }

  TextFamily& family(std::string_view name) {
    for (TextFamily& family : file_.families) {
      if (family.name == name) return family;
    }
    file_.families.push_back({std::string(name), {}, FamilyType::untyped});
    return file_.families.back();
  }

  Result<> comment(std::string_view line) {
    line.remove_prefix(1);
    std::string_view word = scan::next_word(line);
    if (word != "HELP" && word != "TYPE") return {};
    std::string_view name = scan::next_word(line);
    if (!is_classic_metric_name(name)) return error("invalid metric name in comment");
    line = scan::trim(line);
    if (word == "HELP") {
      family(name).help = unescape(line, false);
      return {};
    }
    static constexpr std::pair<std::string_view, FamilyType> kTypes[] = {{"counter", FamilyType::counter},
                                                                         {"gauge", FamilyType::gauge},
                                                                         {"histogram", FamilyType::histogram},
                                                                         {"summary", FamilyType::summary},
                                                                         {"untyped", FamilyType::untyped}};
    auto type = std::ranges::find(kTypes, line, &std::pair<std::string_view, FamilyType>::first);
    if (type == std::end(kTypes)) return error("unknown metric type \"" + std::string(line.substr(0, 32)) + "\"");
    family(name).type = type->second;
    return {};
  }

  static std::string unescape(std::string_view text, bool quotes) {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\\' && i + 1 < text.size()) {
        char next = text[i + 1];
        if (next == 'n' || next == '\\' || (quotes && next == '"')) {
          plain += next == 'n' ? '\n' : next;
          ++i;
          continue;
        }
      }
      plain += text[i];
    }
    return plain;
  }

  Result<> sample(std::string_view line) {
    std::size_t end = 0;
    while (end < line.size() && line[end] != '{' && !scan::is_space(line[end])) ++end;
    TextSample sample;
    sample.name = line.substr(0, end);
    if (!is_classic_metric_name(sample.name)) return error("invalid metric name");
    line = scan::trim(line.substr(end));
    if (line.starts_with('{')) {
      line.remove_prefix(1);
      if (auto read = labels(line, sample.labels); !read) return read;
    }
    std::string_view word = scan::next_word(line);
    auto value = number(word);
    if (!value) return error("expected float as value, got \"" + std::string(word.substr(0, 32)) + "\"");
    if (!scan::trim(line).empty()) return error("client-side timestamps are not supported");
    sample.value = *value;
    sample.family = family_of(sample.name);
    file_.samples.push_back(std::move(sample));
    return {};
  }

  Result<> labels(std::string_view& line, std::vector<Label>& out) {
    for (;;) {
      line = scan::trim(line);
      if (line.starts_with('}')) {
        line.remove_prefix(1);
        return {};
      }
      std::size_t equals = line.find('=');
      if (equals == std::string_view::npos) return error("expected '=' after label name");
      std::string_view name = scan::trim(line.substr(0, equals));
      if (!is_classic_label_name(name)) return error("invalid label name");
      line = scan::trim(line.substr(equals + 1));
      if (!line.starts_with('"')) return error("expected '\"' at start of label value");
      std::size_t end = 1;
      while (end < line.size() && line[end] != '"') end += line[end] == '\\' ? 2 : 1;
      if (end >= line.size()) return error("label value is not ended");
      std::string value = unescape(line.substr(1, end - 1), true);
      if (!is_valid_utf8(value)) return error("label value is no valid UTF-8");
      if (std::ranges::find(out, name, &Label::name) != out.end())
        return error("duplicate label name \"" + std::string(name) + "\"");
      out.push_back({std::string(name), std::move(value)});
      line = scan::trim(line.substr(end + 1));
      if (line.starts_with(','))
        line.remove_prefix(1);
      else if (!line.starts_with('}'))
        return error("expected ',' or '}' after label value");
    }
  }

  static std::optional<double> number(std::string_view word) {
    std::string lower(word);
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (lower == "+inf" || lower == "inf") return std::numeric_limits<double>::infinity();
    if (lower == "-inf") return -std::numeric_limits<double>::infinity();
    if (lower == "nan") return std::numeric_limits<double>::quiet_NaN();
    return scan::to_double(word);
  }

  std::string family_of(std::string_view name) const {
    for (const TextFamily& family : file_.families) {
      if (family.name == name) return family.name;
      if (family.type != FamilyType::histogram && family.type != FamilyType::summary) continue;
      if (!name.starts_with(family.name)) continue;
      std::string_view suffix = name.substr(family.name.size());
      if (suffix == "_sum" || suffix == "_count" || (suffix == "_bucket" && family.type == FamilyType::histogram))
        return family.name;
    }
    return std::string(name);
  }

  std::string_view rest_;
  std::size_t number_ = 0;
  TextFile file_;
};

class TextfileCollector final : public Collector {
 public:
  TextfileCollector(const HostContext& context, Writer& out)
      : directories_(context.options.textfile_directories),
        mtime_(out.gauge("node_textfile_mtime_seconds", "Unix time at which the file was last written.", {"file"})),
        error_(out.gauge("node_textfile_scrape_error", "1 when a file or directory could not be read.")) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    bool failed = false;
    ++round_;
    std::map<std::string, double> times;
    for (const std::string& pattern : directories_) {
      for (const std::string& directory : expand(pattern)) {
        auto names = list_directory(directory);
        if (!names) {
          failed = true;
          complain(directory, names.error());
          continue;
        }
        for (const std::string& name : *names) {
          if (!name.ends_with(".prom")) continue;
          std::string path = directory + "/" + name;
          if (File* file = refresh(path, buffer)) {
            put_file(out, *file);
            times[path] = file->mtime;
          } else {
            failed = true;
          }
        }
      }
    }
    std::erase_if(files_, [&](const auto& entry) { return entry.second.round != round_; });
    for (const auto& [path, time] : times) out.put(mtime_, {path}, time);
    out.put(error_, failed ? 1 : 0);
    return {};
  }

 private:
  struct File {
    ino_t inode = 0;
    off_t size = -1;
    timespec changed{};
    double mtime = 0;
    bool good = false;
    TextFile content;
    std::map<std::string, const Family*> families;
    std::uint64_t round = 0;
  };

  static std::vector<std::string> expand(const std::string& pattern) {
    glob_t found{};
    std::vector<std::string> paths;
    if (::glob(pattern.c_str(), GLOB_ONLYDIR, nullptr, &found) == 0) {
      for (std::size_t i = 0; i < found.gl_pathc; ++i) paths.emplace_back(found.gl_pathv[i]);
    }
    ::globfree(&found);
    if (paths.empty()) paths.push_back(pattern);
    return paths;
  }

  // Once per file and message, not at every collection.
  void complain(const std::string& path, const Error& error) {
    std::string& last = complaints_[path];
    if (last == error.message) return;
    last = error.message;
    log::warn("agent", "textfile cannot be used", {{"file", path}, {"error", error}});
  }

  File* refresh(const std::string& path, Buffer& buffer) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) {
      complain(path, error_from_errno(path, errno));
      return nullptr;
    }
    File& file = files_[path];
    file.round = round_;
    bool same = file.inode == status.st_ino && file.size == status.st_size &&
                file.changed.tv_sec == status.st_mtim.tv_sec && file.changed.tv_nsec == status.st_mtim.tv_nsec;
    if (same) return file.good ? &file : nullptr;
    file.good = false;
    auto text = read_file(path, buffer);
    auto content = text ? parse_text_file(*text) : Result<TextFile>(std::unexpected(text.error()));
    if (!content) {
      complain(path, content.error());
      file.size = text ? status.st_size : -1;
    } else {
      complaints_.erase(path);
      file.good = true;
      file.content = std::move(*content);
      file.size = status.st_size;
    }
    file.families.clear();
    file.inode = status.st_ino;
    file.changed = status.st_mtim;
    file.mtime = static_cast<double>(status.st_mtim.tv_sec);
    return file.good ? &file : nullptr;
  }

  static void put_file(Writer& out, File& file) {
    for (const TextSample& sample : file.content.samples) {
      const Family*& family = file.families[sample.family];
      if (family == nullptr) {
        auto known = std::ranges::find(file.content.families, sample.family, &TextFamily::name);
        family = known == file.content.families.end() ? &out.family(sample.family, FamilyType::untyped)
                                                      : &out.family(sample.family, known->type, known->help);
      }
      out.put_labels(*family, sample.name, sample.labels, sample.value);
    }
  }

  std::vector<std::string> directories_;
  const Family &mtime_, &error_;
  std::map<std::string, File> files_;
  std::map<std::string, std::string> complaints_;
  std::uint64_t round_ = 0;
};

}  // namespace

Result<TextFile> parse_text_file(std::string_view text) { return TextParser(text).run(); }

std::unique_ptr<Collector> make_textfile(const HostContext& context, Writer& out) {
  return std::make_unique<TextfileCollector>(context, out);
}

}  // namespace tocayo::agent
