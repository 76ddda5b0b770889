// SPDX-License-Identifier: Apache-2.0
#include "agent/host/host_collectors.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "agent/host/collector.h"
#include "core/log.h"
#include "core/registry.h"

namespace tocayo::agent {
namespace {

using Steady = std::chrono::steady_clock;
constexpr std::chrono::seconds kPatience{1};

// One collector with all that it owns, so that a thread that hangs in it holds nothing else. Shared with the lane's
// thread.
struct Unit {
  Unit(std::shared_ptr<const HostContext> ctx, const CollectorSpec& s, std::size_t i)
      : context(std::move(ctx)), spec(s), index(i), writer(context->options.constant_labels) {
    collector = spec.make(*context, writer);
  }

  // On whichever thread has it.
  void run(Buffer& buffer) {
    started = Steady::now();
    writer.begin(std::chrono::duration_cast<std::chrono::seconds>(started.time_since_epoch()).count());
    auto result = collector->collect(writer, buffer);
    finished = Steady::now();
    success = result.has_value();
    if (success) {
      logged = false;
    } else if (result.error().kind != ErrorKind::not_found && !logged) {
      logged = true;  // once per failure, not every few seconds
      log::warn("agent", "collector failed", {{"collector", spec.name}, {"error", result.error()}});
    }
  }

  std::shared_ptr<const HostContext> context;  // shared: must outlive a hanging collector
  const CollectorSpec& spec;
  std::size_t index;
  Writer writer;
  std::unique_ptr<Collector> collector;
  Steady::time_point started{}, finished{};
  bool success = false;
  bool logged = false;
};

// The helper thread's state. Shared with the thread, which may outlive the set.
struct LaneState {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::shared_ptr<Unit>> queue;
  std::shared_ptr<Unit> running;
  Steady::time_point running_since{};
  bool stop = false;
  bool exited = false;
};

void run_lane(std::shared_ptr<LaneState> lane) {
  Buffer buffer;
  std::unique_lock lock(lane->mutex);
  for (;;) {
    lane->changed.wait(lock, [&] { return lane->stop || !lane->queue.empty(); });
    if (lane->queue.empty()) break;
    lane->running = std::move(lane->queue.front());
    lane->queue.pop_front();
    lane->running_since = Steady::now();
    lock.unlock();
    lane->running->run(buffer);
    lock.lock();
    lane->running.reset();
    lane->changed.notify_all();
  }
  lane->exited = true;
  lane->changed.notify_all();
}

class Collectors final : public HostCollectors {
 public:
  Collectors(HostOptions options, std::span<const CollectorSpec> specs)
      : context_(std::make_shared<HostContext>(HostContext{std::move(options)})),
        scrape_(context_->options.constant_labels) {
    units_.resize(specs.size());
    duration_ = &scrape_.gauge("node_scrape_collector_duration_seconds", "Time a collector took.", {"collector"});
    success_ = &scrape_.gauge("node_scrape_collector_success", "Whether a collector succeeded.", {"collector"});
    for (std::size_t i = 0; i < specs.size(); ++i) {
      auto chosen = context_->options.collectors.find(specs[i].name);
      bool on = chosen == context_->options.collectors.end() ? specs[i].default_on : chosen->second;
      if (!on) continue;
      enabled_.set(i);
      units_[i] = std::make_shared<Unit>(context_, specs[i], i);
    }
    late_total_ = &Registry::global().counter("tocayo_agent_late_collectors_total",
                                              "Collectors that took over a second and were left behind.");
  }

  ~Collectors() override {
    if (lane_ == nullptr) return;
    std::unique_lock lock(lane_->mutex);
    lane_->stop = true;
    lane_->changed.notify_all();
    bool exited = lane_->changed.wait_for(lock, kPatience, [&] { return lane_->exited; });
    lock.unlock();
    if (exited)
      thread_.join();
    else
      thread_.detach();
  }

  const Selection& enabled() const override { return enabled_; }
  const HostOptions& options() const override { return context_->options; }

  Result<Selection> select(std::span<const std::string> collect, std::span<const std::string> exclude) const override {
    if (!collect.empty() && !exclude.empty()) {
      return fail(ErrorKind::bad_input, "Combined collect and exclude queries are not allowed.");
    }
    if (collect.empty()) {
      Selection selection = enabled_;
      for (const std::string& name : exclude) {
        if (int index = collector_index(name); index >= 0) selection.reset(static_cast<std::size_t>(index));
      }
      return selection;
    }
    Selection selection;
    for (const std::string& name : collect) {
      int index = collector_index(name);
      if (index < 0) return fail(ErrorKind::bad_input, "missing collector: " + name);
      if (!enabled_.test(static_cast<std::size_t>(index)))
        return fail(ErrorKind::bad_input, "disabled collector: " + name);
      selection.set(static_cast<std::size_t>(index));
    }
    return selection;
  }

  void collect(const Selection& selection, std::chrono::milliseconds max_age, Collection& out) override {
    std::lock_guard serialised(mutex_);
    auto begin = Steady::now();
    out.parts.clear();
    out.samples.clear();
    wanted_.clear();
    std::vector<std::shared_ptr<Unit>> guarded;
    reap();
    for (std::size_t i = 0; i < units_.size(); ++i) {
      if (units_[i] == nullptr || !selection.test(i)) continue;
      wanted_.push_back(units_[i].get());
      if (is_left_behind(*units_[i])) continue;
      bool fresh = units_[i]->finished != Steady::time_point{} && begin - units_[i]->finished < max_age;
      if (!fresh && units_[i]->spec.lane == Lane::guarded) guarded.push_back(units_[i]);
    }
    bool helper = !guarded.empty();
    if (helper) post(std::move(guarded));
    for (Unit* unit : wanted_) {
      if (unit->spec.lane != Lane::direct) continue;
      bool fresh = unit->finished != Steady::time_point{} && begin - unit->finished < max_age;
      if (!fresh) unit->run(buffer_);
    }
    if (helper) wait_for_lane();
    auto now = Steady::now();
    scrape_.begin(std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count());
    for (Unit* unit : wanted_) add_part(*unit, now, out);
    out.duration = Steady::now() - begin;
  }

 private:
  struct LeftBehind {
    std::shared_ptr<LaneState> lane;
    std::shared_ptr<Unit> unit;
    Steady::time_point since;
  };

  bool is_left_behind(const Unit& unit) const {
    return std::ranges::any_of(left_behind_, [&](const LeftBehind& entry) { return entry.unit.get() == &unit; });
  }

  // Takes back the collectors whose threads have come home.
  void reap() {
    std::erase_if(left_behind_, [](const LeftBehind& entry) {
      std::lock_guard guard(entry.lane->mutex);
      return entry.lane->exited;
    });
  }

  void post(std::vector<std::shared_ptr<Unit>> units) {
    if (lane_ == nullptr) {
      lane_ = std::make_shared<LaneState>();
      thread_ = std::thread(run_lane, lane_);
    }
    std::lock_guard guard(lane_->mutex);
    for (auto& unit : units) lane_->queue.push_back(std::move(unit));
    lane_->changed.notify_all();
  }

  void wait_for_lane() {
    for (;;) {
      std::deque<std::shared_ptr<Unit>> rest;
      {
        std::unique_lock lock(lane_->mutex);
        auto idle = [&] { return lane_->queue.empty() && lane_->running == nullptr; };
        while (!idle()) {
          auto limit = (lane_->running == nullptr ? Steady::now() : lane_->running_since) + kPatience;
          if (lane_->changed.wait_until(lock, limit) == std::cv_status::timeout && lane_->running != nullptr &&
              Steady::now() - lane_->running_since >= kPatience) {
            break;
          }
        }
        if (idle()) return;
        left_behind_.push_back({lane_, lane_->running, lane_->running_since});
        rest.swap(lane_->queue);
        lane_->stop = true;
        lane_->changed.notify_all();
      }
      late_total_->add();
      log::warn("agent", "collector takes over a second and is left behind",
                {{"collector", left_behind_.back().unit->spec.name}});
      thread_.detach();
      lane_.reset();
      if (rest.empty()) return;
      post({rest.begin(), rest.end()});
    }
  }

  void add_part(Unit& unit, Steady::time_point now, Collection& out) {
    Collection::Part part{unit.index, false, out.samples.size(), 0};
    double seconds = 0;
    auto late = std::ranges::find_if(left_behind_, [&](const LeftBehind& entry) { return entry.unit.get() == &unit; });
    if (late != left_behind_.end()) {
      seconds = std::chrono::duration<double>(now - late->since).count();
    } else {
      auto samples = unit.writer.samples();
      out.samples.insert(out.samples.end(), samples.begin(), samples.end());
      part.success = unit.success;
      seconds = std::chrono::duration<double>(unit.finished - unit.started).count();
    }
    if (unit.spec.name != "process") {
      std::size_t before = scrape_.samples().size();
      scrape_.put(*duration_, {unit.spec.name}, seconds);
      scrape_.put(*success_, {unit.spec.name}, part.success ? 1 : 0);
      auto meta = scrape_.samples().subspan(before);
      out.samples.insert(out.samples.end(), meta.begin(), meta.end());
    }
    part.count = out.samples.size() - part.first;
    out.parts.push_back(part);
  }

  std::mutex mutex_;
  std::shared_ptr<HostContext> context_;  // shared with the units
  std::vector<std::shared_ptr<Unit>> units_;
  Selection enabled_;
  Writer scrape_;
  const Family* duration_;
  const Family* success_;
  Buffer buffer_;
  std::vector<Unit*> wanted_;
  std::shared_ptr<LaneState> lane_;  // shared with its thread
  std::thread thread_;
  std::vector<LeftBehind> left_behind_;
  Counter* late_total_;
};

}  // namespace

Result<std::unique_ptr<HostCollectors>> HostCollectors::create(HostOptions options) {
  return create_with(std::move(options), collector_specs());
}

Result<std::unique_ptr<HostCollectors>> HostCollectors::create_with(HostOptions options,
                                                                    std::span<const CollectorSpec> specs) {
  for (const auto& [stem, filter] : options.filters) {
    for (const FilterOption& half : {FilterOption{filter.include, {}}, FilterOption{{}, filter.exclude}}) {
      if (auto valid = Filter::check(half, "--collector." + stem); !valid)
        return std::unexpected(std::move(valid.error()));
    }
  }
  return std::make_unique<Collectors>(std::move(options), specs);
}

int collector_index(std::string_view name) {
  auto specs = collector_specs();
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (specs[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace tocayo::agent
