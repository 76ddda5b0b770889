// SPDX-License-Identifier: Apache-2.0
#include "logs/api/tail.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>

#include "core/hash.h"
#include "core/log.h"
#include "logql/pipeline/pipeline.h"
#include "logql/syntax/parser.h"
#include "logql/syntax/printer.h"
#include "logs/api/json_out.h"
#include "logs/api/multi_tenant.h"
#include "logs/api/params.h"
#include "logs/api/tail_match.h"

namespace tocayo::logs::api {

namespace {

constexpr unsigned short kInternal = 1011;
constexpr unsigned short kPolicy = 1008;
constexpr std::size_t kMostStreams = 100'000;  // whose watchers are remembered
constexpr std::string_view kCategorize = "categorize-labels";

std::uint64_t identity(std::uint64_t labels, TimestampNs time, std::string_view line) {
  return hash64(line, labels ^ static_cast<std::uint64_t>(time) * 0x9E3779B97F4A7C15ULL);
}

// Lines of one stream, encoded.
struct Piece {
  std::string stream;  // {"a":"b"}
  std::string values;  // ["…","…"],["…","…"]
  std::size_t lines = 0;
  TimestampNs first = 0;
};

void append_value(std::string& out, TimestampNs time, std::string_view line, const logql::LabelResult& labels,
                  bool categorize) {
  if (!out.empty()) out += ",";
  out += fmt::format(R"(["{}",)", time);
  append_json_text(out, line);
  if (categorize) {
    out += ",{";
    if (!labels.metadata.empty()) {
      out += R"("structuredMetadata":)";
      append_json_labels(out, labels.metadata);
    }
    if (!labels.parsed.empty()) {
      out += labels.metadata.empty() ? R"("parsed":)" : R"(,"parsed":)";
      append_json_labels(out, labels.parsed);
    }
    out += "}";
  }
  out += "]";
}

std::string message(const std::vector<Piece>& pieces, const std::vector<std::pair<std::string, TimestampNs>>& dropped,
                    bool categorize) {
  std::string out = R"({"streams":[)";
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    out += i == 0 ? R"({"stream":)" : R"(,{"stream":)";
    out += pieces[i].stream + R"(,"values":[)" + pieces[i].values + "]}";
  }
  out += "]";
  if (!dropped.empty()) {
    out += R"(,"dropped_entries":[)";
    for (std::size_t i = 0; i < dropped.size(); ++i) {
      out +=
          fmt::format(R"({}{{"timestamp":"{}","labels":{}}})", i == 0 ? "" : ",", dropped[i].second, dropped[i].first);
    }
    out += "]";
  }
  if (categorize) out += R"(,"encodingFlags":["categorize-labels"])";
  return out + "}";
}

}  // namespace

// Who opened a socket, and the socket until it ends.
struct TailHub::Opener {
  explicit Opener(const http::Request& by, http::WebSocket& of) : request(by), socket(&of) {}
  const http::Request request;
  std::atomic<bool> asking{false};
  std::recursive_mutex mutex;  // closing a socket may go on with its handler, which takes it as well
  http::WebSocket* socket;     // with the mutex; null when it has ended
};

// A socket's place with one of the tenants it watches.
struct TailHub::Joined {
  std::string name;
  std::shared_ptr<TenantTail> tenant;
  std::string key;
  std::unique_ptr<Watcher> watcher;
};

struct TailHub::Watcher {
  explicit Watcher(http::WebSocket& of) : socket(of) {}
  http::WebSocket& socket;
  std::shared_ptr<Group> group;
  bool priming = true;  // its backlog is being read: lines wait in `held`
  struct Held {
    std::uint64_t id;
    Piece piece;
  };
  std::vector<Held> held;
  std::vector<std::pair<std::string, TimestampNs>> dropped;  // labels and time of lines that it did not get
};

// Watchers with one query.
struct TailHub::Group {
  Group(logql::LogExpr expr, logql::Pipeline pipeline, bool categorized, std::chrono::seconds by, std::string shown_as)
      : log(std::move(expr)),
        processor(std::move(pipeline)),
        categorize(categorized),
        delay(by),
        tenant(std::move(shown_as)) {}
  logql::LogExpr log;
  logql::Processor processor;
  bool categorize;
  std::chrono::seconds delay;
  std::string tenant;  // its name, when it is watched with others
  LiteralSet::Needs needs;
  Labels stream;  // of the processor, as it was pushed …
  Labels shown;   // … and as it is shown
  std::vector<Watcher*> watchers;
  struct Batch {
    std::chrono::steady_clock::time_point at;
    std::vector<Piece> pieces;
  };
  std::vector<Batch> waiting;  // encoded, not sent yet; oldest first
};

struct TailHub::TenantTail {
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<Group>> groups;  // by query, flags and delay
  LiteralSet literals;                                   // of all groups
  // Groups whose selector chooses a stream; made anew when a group comes or goes.
  std::unordered_map<Labels, std::vector<Group*>, LabelsHash> chosen;
  std::size_t watchers = 0;
  std::unique_ptr<Subscription> subscription;

  const std::vector<Group*>& groups_of(const Labels& labels) {
    if (chosen.size() >= kMostStreams) chosen.clear();
    auto [at, fresh] = chosen.try_emplace(labels);
    if (!fresh) return at->second;
    for (const auto& [key, group] : groups) {
      const bool wanted = std::ranges::all_of(
          group->log.matchers, [&](const Matcher& matcher) { return matcher.matches(labels.get(matcher.name())); });
      if (wanted) at->second.push_back(group.get());
    }
    return at->second;
  }
};

TailHub::TailHub(Store& store, const logql::Engine& engine, Pool& compute, LimitsLookup limits, Registry& registry,
                 const Clock& clock, Options options)
    : store_(store),
      engine_(engine),
      compute_(compute),
      limits_(std::move(limits)),
      clock_(clock),
      options_(options),
      watchers_gauge_(registry.gauge("tocayo_logs_api_tail_watchers", "Sockets that tail logs.")),
      dropped_(registry.counter("tocayo_logs_api_tail_dropped_lines_total", "Lines that slow watchers did not get.")),
      thread_([this](std::stop_token stop) { run(stop); }) {}

TailHub::~TailHub() {
  thread_ = {};
  std::map<std::string, std::shared_ptr<TenantTail>, std::less<>> tenants;
  {
    std::scoped_lock lock(mutex_);
    tenants.swap(tenants_);
  }
  for (auto& [name, tenant] : tenants) {
    tenant->subscription.reset();
    std::scoped_lock lock(tenant->mutex);
    for (auto& [key, group] : tenant->groups) {
      for (auto* watcher : group->watchers) watcher->socket.close(1001, "the server is stopping");
    }
  }
}

// On a thread of the store, one call at a time for a tenant.
void TailHub::receive(TenantTail& tenant, const TailBatch& batch) {
  bool any = false;
  {
    std::scoped_lock lock(tenant.mutex);
    const auto& groups = tenant.groups_of(*batch.labels);
    if (groups.empty()) return;
    tenant.literals.begin(batch.rows);
    for (Group* group : groups) {
      const auto candidates = tenant.literals.candidates(group->needs);
      if (candidates.empty()) continue;
      if (group->stream != *batch.labels) {
        group->stream = *batch.labels;
        group->shown = group->tenant.empty() ? group->stream : shown_labels(group->stream, group->tenant);
        group->processor.set_stream(group->shown);
      }
      std::unordered_map<const logql::LabelResult*, std::size_t> places;
      std::vector<std::shared_ptr<const logql::LabelResult>> kept;  // so that the addresses stay
      Group::Batch out{.at = std::chrono::steady_clock::now(), .pieces = {}};
      for (const auto number : candidates) {
        const auto& row = batch.rows[number];
        if (!group->processor.process(row.time, row.line, row.metadata)) continue;
        const auto& labels = group->processor.labels();
        const auto line = group->processor.line();
        auto [place, fresh] = places.emplace(labels.get(), out.pieces.size());
        if (fresh) {
          Piece piece;
          append_json_labels(piece.stream, group->categorize ? labels->stream : labels->all);
          piece.first = row.time;
          out.pieces.push_back(std::move(piece));
          kept.push_back(labels);
        }
        auto& piece = out.pieces[place->second];
        append_value(piece.values, row.time, line, *labels, group->categorize);
        ++piece.lines;
        for (auto* watcher : group->watchers) {
          if (!watcher->priming) continue;
          Piece one{.stream = piece.stream, .values = {}, .lines = 1, .first = row.time};
          append_value(one.values, row.time, line, *labels, group->categorize);
          watcher->held.push_back({.id = identity(labels->hash, row.time, line), .piece = std::move(one)});
        }
      }
      if (group->processor.memory_bytes() > (8U << 20)) {
        group->processor.forget();
        group->stream = Labels();
        group->shown = Labels();
        group->processor.set_stream(group->shown);
      }
      if (out.pieces.empty()) continue;
      group->waiting.push_back(std::move(out));
      any = true;
    }
  }
  if (any) {
    std::scoped_lock lock(mutex_);
    anything_ = true;
    wake_.notify_one();
  }
}

void TailHub::run(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  auto asked = std::chrono::steady_clock::now();
  while (!stop.stop_requested()) {
    (void)wake_.wait_for(lock, stop, options_.ask_every, [this] { return anything_; });
    if (stop.stop_requested()) return;
    if (options_.still_allowed && std::chrono::steady_clock::now() - asked >= options_.ask_every) {
      asked = std::chrono::steady_clock::now();
      const auto openers = openers_;
      lock.unlock();
      for (const auto& opener : openers) ask(opener);
      lock.lock();
    }
    if (!anything_) continue;
    // What comes within a moment leaves together.
    (void)wake_.wait_for(lock, stop, options_.flush_every, [] { return false; });
    anything_ = false;
    lock.unlock();
    flush();
    lock.lock();
  }
}

void TailHub::flush() {
  std::vector<std::shared_ptr<TenantTail>> tenants;
  {
    std::scoped_lock lock(mutex_);
    for (const auto& [name, tenant] : tenants_) tenants.push_back(tenant);
  }
  const auto now = std::chrono::steady_clock::now();
  bool later = false;
  for (const auto& tenant : tenants) {
    std::scoped_lock lock(tenant->mutex);
    for (auto& [key, group] : tenant->groups) {
      std::vector<Piece> pieces;
      std::size_t taken = 0;
      for (auto& batch : group->waiting) {
        if (batch.at + group->delay > now) break;
        ++taken;
        for (auto& piece : batch.pieces) {
          // Lines of one stream in one object.
          auto same = std::ranges::find(pieces, piece.stream, &Piece::stream);
          if (same == pieces.end()) {
            pieces.push_back(std::move(piece));
          } else {
            same->values += "," + piece.values;
            same->lines += piece.lines;
          }
        }
      }
      group->waiting.erase(group->waiting.begin(), group->waiting.begin() + static_cast<std::ptrdiff_t>(taken));
      later = later || !group->waiting.empty();
      if (pieces.empty()) continue;
      const std::string text = message(pieces, {}, group->categorize);
      for (auto* watcher : group->watchers) {
        if (watcher->priming) continue;  // it has them in `held`
        if (watcher->socket.queued_bytes() > options_.most_queued) {
          for (const auto& piece : pieces) {
            dropped_.add(static_cast<double>(piece.lines));
            if (watcher->dropped.size() < 1000) watcher->dropped.emplace_back(piece.stream, piece.first);
          }
          continue;
        }
        if (watcher->dropped.empty()) {
          watcher->socket.post({.data = text, .binary = false});
        } else {
          watcher->socket.post({.data = message(pieces, watcher->dropped, group->categorize), .binary = false});
          watcher->dropped.clear();
        }
      }
    }
  }
  if (later) {
    std::scoped_lock lock(mutex_);
    anything_ = true;
  }
}

// Closes the socket when who opened it may not read any more.
void TailHub::ask(const std::shared_ptr<Opener>& opener) const {
  if (opener->asking.exchange(true)) return;
  // On the pool: the answer may come at once.
  compute_.post([opener, question = options_.still_allowed(opener->request)]() mutable {
    spawn<bool>(std::move(question), [opener](bool allowed) {
      std::scoped_lock lock(opener->mutex);
      if (!allowed && opener->socket != nullptr) opener->socket->close(kPolicy, "signed out");
      opener->asking = false;
    });
  });
}

// The lines before the tail began and those that came meanwhile, as a message; ends the priming of the watchers.
Result<std::string> TailHub::backlog(const http::Request& request, std::span<Joined> joined, TimestampNs start,
                                     std::size_t limit) {
  logql::QueryParams params;
  params.start = start;
  params.end = clock_.now_ms() * 1'000'000 + kSecondNs;
  params.limit = limit;
  params.direction = Direction::backward;
  const auto querier = TRY(querier_of(store_, request.identity.tenant));
  const bool categorize = joined[0].watcher->group->categorize;
  auto result = engine_.query(*querier, request.query.get_or("query", ""), params, {}, request.context);
  // Lines may not be left out in silence.
  if (!result) return std::unexpected(std::move(result.error()));
  std::vector<Piece> pieces;
  std::unordered_set<std::uint64_t> seen;
  auto& lines = std::get<logql::LogValue>(result->value);
  std::ranges::reverse(lines.lines);
  for (const auto& stream : logql::group_streams(lines, categorize)) {
    Piece piece;
    append_json_labels(piece.stream, stream.labels);
    for (const auto* line : stream.lines) append_value(piece.values, line->time, line->line, *line->labels, categorize);
    pieces.push_back(std::move(piece));
  }
  for (const auto& line : lines.lines) {
    seen.insert(identity(line.labels->hash, line.time, line.line));
  }
  for (Joined& place : joined) {
    std::scoped_lock lock(place.tenant->mutex);
    for (auto& held : place.watcher->held) {
      if (seen.contains(held.id)) continue;
      auto same = std::ranges::find(pieces, held.piece.stream, &Piece::stream);
      if (same == pieces.end()) {
        pieces.push_back(std::move(held.piece));
      } else {
        same->values += "," + held.piece.values;
      }
    }
    place.watcher->held.clear();
    place.watcher->priming = false;
  }
  return pieces.empty() ? std::string() : message(pieces, {}, categorize);
}

// Null when the tenant has `most` watchers already. `group` is taken when nobody watches for the same.
std::shared_ptr<TailHub::TenantTail> TailHub::join(const std::string& name, const std::string& key,
                                                   std::shared_ptr<Group> group, Watcher& watcher, std::size_t most) {
  // Both locks: who leaves last takes the tenant away.
  std::scoped_lock all(mutex_);
  auto& slot = tenants_[name];
  if (!slot) slot = std::make_shared<TenantTail>();
  const auto tenant = slot;
  std::scoped_lock lock(tenant->mutex);
  if (tenant->watchers >= most) {
    if (tenant->watchers == 0) tenants_.erase(name);
    return nullptr;
  }
  auto& place = tenant->groups[key];
  if (!place) {
    place = std::move(group);
    place->needs = tenant->literals.add(place->log);
    tenant->chosen.clear();
  }
  place->watchers.push_back(&watcher);
  watcher.group = place;
  ++tenant->watchers;
  watchers_gauge_.add(1);
  if (!tenant->subscription) {
    tenant->subscription =
        store_.subscribe(name, [this, raw = tenant.get()](const TailBatch& batch) { receive(*raw, batch); });
  }
  return tenant;
}

void TailHub::leave(const std::string& name, TenantTail& tenant, const std::string& key, Watcher& watcher) {
  std::unique_ptr<Subscription> last;
  std::shared_ptr<TenantTail> gone;
  {
    std::scoped_lock all(mutex_);
    std::scoped_lock lock(tenant.mutex);
    auto& group = *watcher.group;
    std::erase(group.watchers, &watcher);
    if (group.watchers.empty()) {
      tenant.literals.remove(group.needs);
      tenant.chosen.clear();
      tenant.groups.erase(key);
    }
    --tenant.watchers;
    watchers_gauge_.add(-1);
    if (tenant.watchers == 0) {
      last = std::move(tenant.subscription);
      // Not when the hub is ending, or somebody else has made the name anew.
      if (const auto at = tenants_.find(name); at != tenants_.end() && at->second.get() == &tenant) {
        gone = std::move(at->second);
        tenants_.erase(at);
      }
    }
  }
  // Outside the locks: a call may be waiting for them.
  last.reset();
}

std::size_t TailHub::tenants() const {
  std::scoped_lock lock(mutex_);
  return tenants_.size();
}

Task<void> TailHub::serve(http::Request& request, http::WebSocket& socket) {
  const auto& form = request.query;
  auto refuse = [&](std::string_view reason) { socket.close(kInternal, std::string(reason.substr(0, 120))); };
  auto log = logql::parse_log(form.get_or("query", ""));
  if (!log) {
    refuse(log.error().message);
    co_return;
  }
  const auto limit = limit_of(form, "limit", 100);
  const auto bounds = bounds_of(form, clock_.now_ms() * 1'000'000, kHourNs);
  auto pipeline = logql::Pipeline::compile(log->stages);
  const std::array<const Error*, 3> mistakes = {limit ? nullptr : &limit.error(), bounds ? nullptr : &bounds.error(),
                                                pipeline ? nullptr : &pipeline.error()};
  for (const auto* error : mistakes) {
    if (error == nullptr) continue;
    refuse(error->message);
    co_return;
  }
  std::int64_t delay = 0;
  if (const auto text = form.get_or("delay_for", ""); !text.empty()) {
    auto seconds = parse_seconds_or_duration(text);
    delay = seconds ? *seconds / kSecondNs : -1;
  }
  if (delay < 0 || delay > 5) {
    refuse("delay_for can't be greater than 5");
    co_return;
  }
  const bool categorize =
      request.headers.get("X-Loki-Response-Encoding-Flags").find(kCategorize) != std::string_view::npos;
  co_await compute_.schedule();
  const auto names = tenants_of(request.identity.tenant);
  std::vector<Joined> joined;
  bool full = false;
  for (const std::string& name : names) {
    logql::LogExpr own = *log;
    if (names.size() > 1 && !tenant_chosen(log->matchers, name, own.matchers)) continue;
    Joined place{.name = name,
                 .tenant = {},
                 .key = fmt::format("{}\n{}\n{}\n{}", logql::to_string(own), categorize, delay, names.size() > 1),
                 .watcher = std::make_unique<Watcher>(socket)};
    const auto most = static_cast<std::size_t>(limits_(name)->max_concurrent_tail_requests);
    auto group = std::make_shared<Group>(std::move(own), *pipeline, categorize, std::chrono::seconds(delay),
                                         names.size() > 1 ? name : std::string());
    place.tenant = join(name, place.key, std::move(group), *place.watcher, most);
    full = full || !place.tenant;
    if (place.tenant) joined.push_back(std::move(place));
  }
  if (full) {
    refuse("max concurrent tail requests limit exceeded");
  } else {
    co_await watch(request, joined, socket, bounds->start, *limit);
  }
  for (Joined& place : joined) leave(place.name, *place.tenant, place.key, *place.watcher);
}

Task<void> TailHub::watch(http::Request& request, std::span<Joined> joined, http::WebSocket& socket, TimestampNs start,
                          std::size_t limit) {
  const auto opener = std::make_shared<Opener>(request, socket);  // shared: a question may outlive the socket
  {
    std::scoped_lock lock(mutex_);
    openers_.push_back(opener);
  }
  // Matchers of __tenant_id__ may leave nobody to watch.
  auto text = joined.empty() ? Result<std::string>() : backlog(request, joined, start, limit);
  if (!text) {
    socket.close(kInternal, text.error().message.substr(0, 120));
  } else if (!text->empty()) {
    socket.post({.data = std::move(*text), .binary = false});
  }
  while (co_await socket.receive()) {
  }
  {
    std::scoped_lock lock(mutex_);
    std::erase(openers_, opener);
  }
  std::scoped_lock lock(opener->mutex);
  opener->socket = nullptr;
}

}  // namespace tocayo::logs::api
