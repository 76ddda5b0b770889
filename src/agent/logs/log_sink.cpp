// SPDX-License-Identifier: Apache-2.0
#include "agent/logs/log_sink.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "core/log.h"
#include "core/task.h"

namespace tocayo::agent {
namespace {

// A line as the outside sees it: without labels that are only for the pipeline.
struct Outward {
  Labels labels;
  std::string tenant;
};

// The same label sets come again and again; `keep` is the set that it was made of, so that its place stays its own.
class OutwardCache {
 public:
  const Outward& of(const std::shared_ptr<const Labels>& labels, const std::function<void(Labels&)>& more) {
    if (const auto found = made_.find(labels.get()); found != made_.end()) return *found->second.second;
    auto out = std::make_unique<Outward>();
    std::vector<Label> list;
    for (const Label& label : *labels) {
      if (label.name == kTenantLabel) out->tenant = label.value;
      if (!label.name.starts_with("__")) list.push_back(label);
    }
    out->labels = Labels::from_sorted(std::move(list));
    if (more && !out->labels.has("service_name")) more(out->labels);
    return *made_.emplace(labels.get(), std::pair(labels, std::move(out))).first->second.second;
  }
  // Between batches: views into what was handed out must not be used any more.
  void limit() {
    if (made_.size() > kMost) made_.clear();
  }

 private:
  static constexpr std::size_t kMost = 4'000;
  std::unordered_map<const Labels*, std::pair<std::shared_ptr<const Labels>, std::unique_ptr<Outward>>> made_;
};

class StoreSink final : public LogSink {
 public:
  StoreSink(logs::Appender& appender, LogRules rules, std::string tenant, Registry& registry)
      : appender_(appender),
        rules_(std::move(rules)),
        tenant_(std::move(tenant)),
        lines_(registry.counter("tocayo_agent_log_lines_total", "Lines handed over to the log store.")),
        bytes_(registry.counter("tocayo_agent_log_bytes_total", "Bytes of these lines.")),
        refused_(registry.counter("tocayo_agent_dropped_total", "Rows that will not reach the destination.",
                                  {{"destination", "local"}, {"signal", "logs"}, {"reason", "refused"}})) {}

  Result<> put(std::uint64_t, const LogMarks&, std::span<const LogLine> lines) override {
    struct Stream {
      const Labels* labels;
      std::vector<logs::EntryRow> rows;
    };
    std::map<std::string, std::pair<std::vector<Stream>, std::unordered_map<const Labels*, std::size_t>>> tenants;
    std::vector<std::vector<logs::LabelView>> metadata;
    metadata.reserve(lines.size());
    std::size_t bytes = 0;
    cache_.limit();
    for (const LogLine& line : lines) {
      const Outward& outward = cache_.of(line.labels, rules_.label);
      auto& [streams, places] = tenants[outward.tenant.empty() ? tenant_ : outward.tenant];
      const auto [place, fresh] = places.try_emplace(&outward.labels, streams.size());
      if (fresh) streams.push_back({&outward.labels, {}});
      auto& views = metadata.emplace_back();
      for (const Label& label : line.metadata) {
        if (!label.value.empty()) views.push_back({label.name, label.value});
      }
      const bool told = std::ranges::any_of(views, [](const auto& view) { return view.name == "detected_level"; });
      if (!told && rules_.level) {
        if (const auto level = rules_.level(line.text); !level.empty()) views.push_back({"detected_level", level});
      }
      std::ranges::stable_sort(views, {}, &logs::LabelView::name);
      views.erase(std::unique(views.begin(), views.end(), [](auto& a, auto& b) { return a.name == b.name; }),
                  views.end());
      streams[place->second].rows.push_back({.time = line.time, .line = line.text, .metadata = views});
      bytes += line.text.size();
    }
    for (auto& [tenant, entry] : tenants) {
      std::vector<logs::StreamRows> rows;
      std::size_t count = 0;
      for (const Stream& stream : entry.first) {
        rows.push_back({.ref = 0, .labels = stream.labels, .entries = stream.rows});
        count += stream.rows.size();
      }
      auto done = sync_wait(appender_.append(tenant, rows));
      if (!done && (done.error().kind == ErrorKind::unavailable || done.error().kind == ErrorKind::limit))
        return std::unexpected(std::move(done.error()));
      if (!done) {
        refused_.add(static_cast<double>(count));
        log::warn("agent_logs", "lines were refused", {{"tenant", tenant}, {"error", done.error()}});
        continue;
      }
      for (const auto& rejected : done->rejected) refused_.add(static_cast<double>(rejected.lines));
    }
    lines_.add(static_cast<double>(lines.size()));
    bytes_.add(static_cast<double>(bytes));
    return {};
  }

 private:
  logs::Appender& appender_;
  LogRules rules_;
  std::string tenant_;
  Counter &lines_, &bytes_, &refused_;
  OutwardCache cache_;
};

OutwardCache& queue_cache() {
  thread_local OutwardCache cache;
  return cache;
}

}  // namespace

std::unique_ptr<LogSink> store_sink(logs::Appender& appender, LogRules rules, std::string tenant, Registry& registry) {
  return std::make_unique<StoreSink>(appender, std::move(rules), std::move(tenant), registry);
}

void QueueSink::set(Queues queues) {
  std::lock_guard lock(mutex_);
  queues_ = std::move(queues);
}

QueueSink::Queues QueueSink::queues() const {
  std::lock_guard lock(mutex_);
  return queues_;
}

Result<> QueueSink::put(std::uint64_t batch, const LogMarks& marks, std::span<const LogLine> lines) {
  if (batch != putting_) {
    putting_ = batch;
    done_.clear();
  }
  auto& cache = queue_cache();
  cache.limit();
  std::vector<ShipLine> rows;
  rows.reserve(lines.size());
  for (const LogLine& line : lines) {
    const Outward& outward = cache.of(line.labels, {});
    rows.push_back({.tenant = outward.tenant,
                    .labels = &outward.labels,
                    .time = line.time,
                    .text = line.text,
                    .metadata = line.metadata});
  }
  Result<> result;
  const Queues queues = this->queues();
  // All or none, as far as can be told before.
  if (queues.size() > 1 && done_.empty()) {
    std::size_t bytes = 4096;
    for (const auto& row : rows) bytes += row.text.size() + 64;
    for (const auto& queue : queues) TRY(queue->check_room(bytes));
  }
  for (const auto& queue : queues) {
    if (std::ranges::find(done_, queue.get()) != done_.end()) continue;
    auto put = queue->append(batch, marks, rows);
    if (put)
      done_.push_back(queue.get());
    else
      result = std::move(put);
  }
  return result;
}

std::uint64_t QueueSink::recover(std::uint64_t batch, const std::function<void(const LogMarks&)>& apply) {
  // The queue that is furthest behind decides: a crash between two queues costs the others one batch twice, and
  // nobody a line.
  const Queues queues = this->queues();
  std::uint64_t least = UINT64_MAX;
  std::vector<LogBatchMarks> known;
  for (const auto& queue : queues) {
    auto marks = queue->marks_after(batch);
    const auto last = marks.empty() ? batch : marks.back().batch;
    if (last < least) {
      least = last;
      known = std::move(marks);
    }
  }
  if (least == UINT64_MAX) return batch;
  std::uint64_t most = least;
  for (const auto& queue : queues) {
    const auto marks = queue->marks_after(batch);
    if (!marks.empty()) most = std::max(most, marks.back().batch);
  }
  for (const auto& one : known) apply(one.marks);
  return most;
}

void QueueSink::remembered(std::uint64_t batch) {
  for (const auto& queue : queues()) queue->remembered(batch);
}

}  // namespace tocayo::agent
