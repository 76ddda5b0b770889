// SPDX-License-Identifier: Apache-2.0
#include "agent/logs/sources.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>

#include "agent/logs/journal_reader.h"
#include "agent/logs/json_text.h"
#include "agent/logs/log_agent.h"
#include "agent/logs/paths.h"
#include "core/text.h"

namespace tocayo::agent {
namespace {

std::string label_name(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    const bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    if (!fits) c = '_';
  }
  return out;
}

// Of a pods or containers job: what the path says, through the job's rules.
std::optional<Labels> runtime_labels(const LogJob& job, std::string_view host, const std::string& path) {
  auto found = job.pods.empty() ? container_labels(job.containers, path) : pod_labels(job.pods, path);
  if (!found) return std::nullopt;
  found->set("__path__", path);
  found->set(job.pods.empty() ? "host" : "node", host);
  if (!found->has("job")) found->set("job", job.name);
  auto labels = log_target(job, std::move(*found), host);
  if (!labels) return std::nullopt;
  return without_hidden(*labels);
}

}  // namespace

std::string machine_name() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

std::vector<LogTarget> targets_of(const LogJob& job, const std::vector<TargetGroup>& groups, std::string_view host) {
  std::vector<LogTarget> out;
  const auto add = [&](Labels discovered) {
    const auto labels = log_target(job, std::move(discovered), host);
    if (!labels || !labels->has("__path__")) return;
    Labels shown = without_hidden(*labels);
    if (shown.empty()) return;
    out.push_back({.pattern = std::string(labels->get("__path__")),
                   .exclude = std::string(labels->get("__path_exclude__")),
                   .labels = std::move(shown)});
  };
  for (const Labels& target : job.targets) add(target);
  for (const TargetGroup& group : groups) {
    for (const Labels& target : group.targets) {
      Labels all = group.labels;
      for (const Label& label : target) all.set(label.name, label.value);
      add(std::move(all));
    }
  }
  return out;
}

std::vector<LogFile> files_of(const LogJob& job, const std::vector<LogTarget>& targets, std::string_view host) {
  std::vector<LogFile> out;
  for (const LogTarget& target : targets) {
    for (auto& path : expand_path(target.pattern)) {
      if (!target.exclude.empty() && path_matches(target.exclude, path)) continue;
      Labels labels = target.labels;
      labels.set("filename", path);
      out.push_back({std::move(path), std::move(labels)});
    }
  }
  const auto runtime = [&](const std::string& pattern) {
    for (auto& path : expand_path(pattern)) {
      auto labels = runtime_labels(job, host, path);
      if (!labels) continue;
      labels->set("filename", path);
      out.push_back({std::move(path), std::move(*labels)});
    }
  };
  if (!job.pods.empty()) runtime(job.pods + "/*/*/*.log");
  if (!job.containers.empty()) runtime(job.containers + "/*/*-json.log");
  return out;
}

std::optional<Labels> labels_of_path(const LogJob& job, const std::vector<LogTarget>& targets, std::string_view host,
                                     const std::string& path) {
  std::optional<Labels> labels;
  if (!job.pods.empty() || !job.containers.empty()) {
    labels = runtime_labels(job, host, path);
  } else {
    for (const LogTarget& target : targets) {
      if (!path_matches(target.pattern, path) || (!target.exclude.empty() && path_matches(target.exclude, path)))
        continue;
      labels = target.labels;
      break;
    }
  }
  if (labels) labels->set("filename", path);
  return labels;
}

std::optional<Labels> pod_labels(std::string_view root, std::string_view path) {
  if (!path.starts_with(root)) return std::nullopt;
  path.remove_prefix(root.size());
  while (path.starts_with('/')) path.remove_prefix(1);
  const auto parts = split(path, '/');
  if (parts.size() != 3 || !parts[2].ends_with(".log")) return std::nullopt;
  const auto names = split(parts[0], '_');
  if (names.size() != 3 || names[0].empty() || names[1].empty() || parts[1].empty()) return std::nullopt;
  if (!is_valid_utf8(path)) return std::nullopt;
  const std::string space(names[0]), pod(names[1]), container(parts[1]);
  const auto app = app_of_pod(pod);
  return Labels{{"namespace", space},
                {"pod", pod},
                {"container", container},
                {"app", app},
                {"job", space + "/" + app},
                {"__meta_kubernetes_namespace", space},
                {"__meta_kubernetes_pod_name", pod},
                {"__meta_kubernetes_pod_uid", std::string(names[2])},
                {"__meta_kubernetes_pod_container_name", container}};
}

std::string app_of_pod(std::string_view pod) {
  const auto all = [](std::string_view text, auto fits) { return !text.empty() && std::ranges::all_of(text, fits); };
  // The letters that Kubernetes makes suffixes of: no vowels, nothing that looks like another.
  const auto random = [](char c) {
    return std::string_view("bcdfghjklmnpqrstvwxz2456789").find(c) != std::string_view::npos;
  };
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto dash = pod.rfind('-');
  if (dash == std::string_view::npos || dash == 0) return std::string(pod);
  const auto last = pod.substr(dash + 1), before = pod.substr(0, dash);
  if (all(last, digit) && last.size() <= 4) return std::string(before);  // of a stateful set
  if (last.size() != 5 || !all(last, random)) return std::string(pod);
  const auto second = before.rfind('-');
  if (second != std::string_view::npos && second > 0) {
    const auto hash = before.substr(second + 1);
    if (hash.size() >= 6 && hash.size() <= 10 && all(hash, random)) return std::string(before.substr(0, second));
  }
  return std::string(before);  // of a daemon set or job
}

std::optional<Labels> container_labels(std::string_view root, std::string_view path) {
  if (!path.starts_with(root)) return std::nullopt;
  auto inside = path.substr(root.size());
  while (inside.starts_with('/')) inside.remove_prefix(1);
  const auto parts = split(inside, '/');
  if (parts.size() != 2 || parts[1] != std::string(parts[0]) + "-json.log") return std::nullopt;
  const std::string id(parts[0]);
  Labels out{{"__meta_docker_container_id", id}, {"job", "docker"}};
  const auto text = read_file(std::string(path.substr(0, path.rfind('/'))) + "/config.v2.json", 4 << 20);
  const auto config = text ? parse_json(*text) : std::nullopt;
  std::string name;
  if (config && config->is_object()) {
    const auto& object = config->get_object();
    if (const auto* value = object.if_contains("Name"); value != nullptr && value->is_string())
      name = std::string(value->get_string());
    if (const auto* inner = object.if_contains("Config"); inner != nullptr && inner->is_object()) {
      if (const auto* image = inner->get_object().if_contains("Image"); image != nullptr && image->is_string())
        out.set("image", std::string(image->get_string()));
      if (const auto* labels = inner->get_object().if_contains("Labels"); labels != nullptr && labels->is_object()) {
        for (const auto& label : labels->get_object()) {
          if (!label.value().is_string()) continue;
          const std::string value(label.value().get_string());
          out.set("__meta_docker_container_label_" + label_name(label.key()), value);
          if (label.key() == "com.docker.compose.project") out.set("compose_project", value);
          if (label.key() == "com.docker.compose.service") out.set("compose_service", value);
        }
      }
    }
  }
  out.set("__meta_docker_container_name", name);
  while (name.starts_with('/')) name.erase(0, 1);
  out.set("container", name.empty() ? id.substr(0, 12) : name);
  return out;
}

std::optional<Remainder> find_remainder(const Position& position) {
  const auto slash = position.path.rfind('/');
  if (slash == std::string::npos) return std::nullopt;
  const std::string directory = position.path.substr(0, slash), base = position.path.substr(slash + 1);
  const std::string stem = base.substr(0, base.rfind('.'));
  struct Candidate {
    Remainder found;
    timespec changed;
  };
  std::vector<Candidate> candidates;
  DIR* open = ::opendir(directory.empty() ? "/" : directory.c_str());
  if (open == nullptr) return std::nullopt;
  while (const dirent* entry = ::readdir(open)) {  // NOLINT(concurrency-mt-unsafe): the stream is our own
    const std::string name = entry->d_name;
    if (!name.starts_with(stem)) continue;
    Candidate candidate{{.path = directory + "/" + name}, {}};
    struct stat status{};
    if (::stat(candidate.found.path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    candidate.found.same_inode = status.st_ino == position.file.inode && status.st_dev == position.file.device;
    if (!candidate.found.same_inode && name == base) continue;  // what took its place
    if (name.ends_with(".gz"))
      candidate.found.compression = Compression::gzip;
    else if (name.ends_with(".zst"))
      candidate.found.compression = Compression::zstd;
    else if (static_cast<std::uint64_t>(status.st_size) < position.offset)
      continue;
    candidate.changed = status.st_mtim;
    candidates.push_back(std::move(candidate));
  }
  ::closedir(open);
  // The file itself before copies of it; of copies the newest.
  std::ranges::sort(candidates, [](const Candidate& a, const Candidate& b) {
    if (a.found.same_inode != b.found.same_inode) return a.found.same_inode;
    return std::pair(a.changed.tv_sec, a.changed.tv_nsec) > std::pair(b.changed.tv_sec, b.changed.tv_nsec);
  });
  for (const auto& candidate : candidates) {
    const int fd = ::open(candidate.found.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) continue;
    bool good = position.file.fingerprint_size > 0 && begins_like(fd, position.file, candidate.found.compression);
    // Lines were handed over up to the end of one: a file that only begins alike is seldom cut at the same place.
    if (good && position.offset > 0 && candidate.found.compression == Compression::none) {
      char before = 0;
      good = ::pread(fd, &before, 1, static_cast<off_t>(position.offset - 1)) == 1 &&
             (candidate.found.same_inode || before == '\n' || before == '\0');
    }
    ::close(fd);
    if (good) return candidate.found;
  }
  return std::nullopt;
}

std::vector<LogJob> machine_log_jobs(const std::vector<std::string>& files, const std::string& host) {
  std::vector<LogJob> jobs;
  const std::string machine = host.empty() ? machine_name() : host;
  if (machine_has_journal()) {
    LogJob job;
    job.name = "systemd-journal";
    job.journal.emplace();
    job.journal->labels = Labels{{"job", "systemd-journal"}};
    for (const auto& [source, target] :
         {std::pair("__journal__systemd_unit", "unit"), std::pair("__journal_priority_keyword", "level"),
          std::pair("__journal__hostname", "host")}) {
      RelabelRule rule;
      rule.source_labels = {source};
      rule.target_label = target;
      if (compile(rule)) job.relabel.push_back(std::move(rule));
    }
    job.fingerprint = 1;
    jobs.push_back(std::move(job));
  }
  // What is written to /var/log is in the journal too.
  std::vector<std::string> patterns = files;
  if (!jobs.empty()) std::erase_if(patterns, [](const std::string& path) { return path.starts_with("/var/log/"); });
  if (!patterns.empty()) {
    LogJob job;
    job.name = "varlogs";
    for (const auto& pattern : patterns)
      job.targets.push_back(Labels{{"job", "varlogs"}, {"host", machine}, {"__path__", pattern}});
    job.fingerprint = 2;
    jobs.push_back(std::move(job));
  }
  struct stat status{};
  if (::stat("/var/log/pods", &status) == 0) {
    LogJob job;
    job.name = "pods";
    job.pods = "/var/log/pods";
    job.pipeline = PipelinePlan::built_in("cri");
    job.fingerprint = 3;
    jobs.push_back(std::move(job));
  }
  if (::stat("/var/lib/docker/containers", &status) == 0) {
    LogJob job;
    job.name = "containers";
    job.containers = "/var/lib/docker/containers";
    job.pipeline = PipelinePlan::built_in("docker");
    job.fingerprint = 4;
    jobs.push_back(std::move(job));
  }
  return jobs;
}

}  // namespace tocayo::agent
