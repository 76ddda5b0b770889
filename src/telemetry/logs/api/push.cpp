// SPDX-License-Identifier: Apache-2.0
#include "logs/api/push.h"

#include <fmt/format.h>
#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include <boost/json.hpp>
#include <shared_mutex>

#include "core/hash.h"
#include "core/log.h"
#include "core/text.h"
#include "logs/api/level_detect.h"
#include "logs/api/otlp.h"

namespace tocayo::logs::api {

namespace {

constexpr std::string_view kRoom = "logs_api";
constexpr std::size_t kArenasKept = 8;
constexpr std::size_t kArenaKeepBytes = 16 << 20;
constexpr std::size_t kMostLabelBytes = 256 << 10;
constexpr TimestampMs kIdle = 30 * 60'000;
constexpr std::string_view kManyTenants = "multiple org IDs present";
constexpr std::string_view kTooMany = "too many push requests are being worked on; try again";

// Finds by a view, so that a look-up makes no string.
struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return hash64(text); }
};

int status_of_failure(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::limit: return 429;
    case ErrorKind::too_large: return 413;
    case ErrorKind::canceled: return 499;
    case ErrorKind::timeout:
    case ErrorKind::unavailable: return 503;
    case ErrorKind::internal: return 500;
    case ErrorKind::unauthorized: return 401;
    case ErrorKind::forbidden: return 403;
    default: return 400;
  }
}

http::Response plain(int status, std::string_view text) {
  auto response = http::Response::text(status, std::string(text) + "\n");
  if (status == 429 || status == 503) response.headers.set("Retry-After", "5");
  return response;
}

// google.rpc.Status{message = 2} in the encoding of the request.
http::Response otlp_error(int status, std::string_view text, bool json) {
  if (status == 500) status = 503;  // so that senders try again
  http::Response response;
  if (json) {
    response = http::Response::json(
        status, boost::json::serialize(boost::json::object{{"code", status == 400 ? 3 : 14}, {"message", text}}));
  } else {
    std::string body("\x12", 1);
    for (auto size = text.size();; size >>= 7) {
      body.push_back(static_cast<char>(size < 0x80 ? size : (size | 0x80)));
      if (size < 0x80) break;
    }
    body += text;
    response = http::Response::text(status, std::move(body), "application/x-protobuf");
  }
  if (status == 429 || status == 503) response.headers.set("Retry-After", "5");
  return response;
}

Result<> inflate_body(std::string_view in, std::size_t limit, std::string& out) {
  z_stream stream{};
  if (inflateInit2(&stream, 15 + 32) != Z_OK) return fail(ErrorKind::internal, "zlib does not start");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
  stream.avail_in = static_cast<uInt>(in.size());
  out.clear();
  int state = Z_OK;
  while (state == Z_OK) {
    const auto at = out.size();
    out.resize(std::min(std::max<std::size_t>(at * 2, in.size() * 4 + 4096), limit + 1));
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + at);
    stream.avail_out = static_cast<uInt>(out.size() - at);
    state = inflate(&stream, Z_NO_FLUSH);
    out.resize(out.size() - stream.avail_out);
    if (out.size() > limit) {
      inflateEnd(&stream);
      return fail(ErrorKind::too_large, fmt::format("the decompressed body is larger than {} bytes", limit));
    }
    if (state == Z_BUF_ERROR && stream.avail_in == 0) break;
  }
  inflateEnd(&stream);
  if (state != Z_STREAM_END) return fail(ErrorKind::bad_input, "the gzip or deflate body is damaged or cut short");
  return {};
}

Result<> zstd_body(std::string_view in, std::size_t limit, std::string& out) {
  out.clear();
  std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(), &ZSTD_freeDCtx);
  ZSTD_inBuffer input{in.data(), in.size(), 0};
  std::size_t left = 1;
  while (input.pos < input.size || left != 0) {
    const auto at = out.size();
    if (at > limit)
      return fail(ErrorKind::too_large, fmt::format("the decompressed body is larger than {} bytes", limit));
    out.resize(std::min(std::max<std::size_t>(at * 2, in.size() * 4 + 4096), limit + 1));
    ZSTD_outBuffer output{out.data() + at, out.size() - at, 0};
    const auto before = input.pos;
    left = ZSTD_decompressStream(context.get(), &output, &input);
    out.resize(at + output.pos);
    if (ZSTD_isError(left) != 0) return fail(ErrorKind::bad_input, "the zstd body is damaged");
    if (output.pos == 0 && input.pos == before) return fail(ErrorKind::bad_input, "the zstd body is cut short");
  }
  return {};
}

Result<> snappy_body(std::string_view in, std::size_t limit, std::string& out) {
  std::size_t size = 0;
  if (!snappy::GetUncompressedLength(in.data(), in.size(), &size))
    return fail(ErrorKind::bad_input, "the snappy body has no valid length");
  if (size > limit)
    return fail(ErrorKind::too_large,
                fmt::format("the decompressed body would have {} bytes, more than {}", size, limit));
  out.resize(size);
  if (!snappy::RawUncompress(in.data(), in.size(), out.data()))
    return fail(ErrorKind::bad_input, "the snappy body is damaged");
  return {};
}

bool is_json(const http::Request& request) {
  return to_lower(request.headers.get("Content-Type")).find("json") != std::string::npos;
}

}  // namespace

// A stream as a sender spells it.
struct PushHandler::Known {
  Labels labels;
  std::string level;
  std::atomic<StreamRef> ref{0};
};

struct PushHandler::Tenant {
  Tenant(Registry& registry, const std::string& tenant_name)
      : name(tenant_name),
        bytes(registry.counter("loki_distributor_bytes_received_total",
                               "The total number of uncompressed bytes received per tenant.",
                               {{"tenant", tenant_name}})),
        lines(registry.counter("loki_distributor_lines_received_total",
                               "The total number of lines received per tenant.", {{"tenant", tenant_name}})) {}
  std::string name;
  Counter& bytes;
  Counter& lines;
  std::atomic<TimestampMs> last_used{0};
  // Forgets the labels that were made under other settings. `limits` is compared without a lock: a request sees the
  // same object for as long as nobody reloads.
  void use(const std::shared_ptr<const LogLimits>& now) {
    if (seen.load(std::memory_order_acquire) == now.get()) return;
    std::unique_lock lock(mutex);
    if (limits == now) return;
    known.clear();
    limits = now;
    seen.store(now.get(), std::memory_order_release);
  }
  std::shared_mutex mutex;
  std::shared_ptr<const LogLimits> limits;  // with which `known` was made; shared: keeps the address in `seen` unique
  std::atomic<const LogLimits*> seen{nullptr};
  std::unordered_map<std::string, std::shared_ptr<Known>, TextHash, std::equal_to<>> known;
};

struct PushHandler::Arena {
  std::string body;
  JsonPushDecoder json;
  PushRows rows;
  std::vector<std::shared_ptr<Known>> known;  // of rows.streams()
  std::vector<std::string_view> levels;       // of `known`
  std::vector<StreamRows> streams;
};

PushHandler::PushHandler(Appender& appender, Pool& compute, LimitsLookup limits, Registry& registry,
                         PushOptions options, const Clock& clock)
    : appender_(appender),
      compute_(compute),
      limits_(std::move(limits)),
      registry_(registry),
      options_(options),
      clock_(clock) {}
PushHandler::~PushHandler() = default;

std::shared_ptr<PushHandler::Tenant> PushHandler::tenant(std::string_view name) {
  const auto now = clock_.now_ms();
  std::scoped_lock lock(tenants_mutex_);
  auto& slot = tenants_[std::string(name)];
  if (!slot) {
    slot = std::make_shared<Tenant>(registry_, std::string(name));
    std::erase_if(tenants_, [&](const auto& entry) {
      return entry.second != slot && now - entry.second->last_used.load(std::memory_order_relaxed) > kIdle;
    });
  }
  auto found = tenants_[std::string(name)];
  found->last_used.store(now, std::memory_order_relaxed);
  return found;
}

std::unique_ptr<PushHandler::Arena> PushHandler::take_arena() {
  std::scoped_lock lock(arenas_mutex_);
  if (arenas_.empty()) return std::make_unique<Arena>();
  auto arena = std::move(arenas_.back());
  arenas_.pop_back();
  return arena;
}

void PushHandler::return_arena(std::unique_ptr<Arena> arena) {
  arena->rows.clear();
  arena->known.clear();
  arena->levels.clear();
  arena->streams.clear();
  if (arena->body.capacity() + arena->rows.memory_bytes() > kArenaKeepBytes) return;
  std::scoped_lock lock(arenas_mutex_);
  if (arenas_.size() < kArenasKept) arenas_.push_back(std::move(arena));
}

Task<http::Response> PushHandler::push(http::Request& request) { return handle(request, false); }
Task<http::Response> PushHandler::otlp(http::Request& request) { return handle(request, true); }

Result<> PushHandler::unpack(http::Request& request, bool proto, std::string& out) const {
  const auto encoding = to_lower(trim(request.headers.get("Content-Encoding")));
  const auto limit = options_.max_body;
  if (encoding == "gzip" || encoding == "deflate") {
    if (!proto) return inflate_body(request.body, limit, out);
    std::string packed;
    TRY(inflate_body(request.body, limit, packed));
    return snappy_body(packed, limit, out);
  }
  if (encoding == "zstd") {
    if (!proto) return zstd_body(request.body, limit, out);
    std::string packed;
    TRY(zstd_body(request.body, limit, packed));
    return snappy_body(packed, limit, out);
  }
  if (encoding == "snappy" || proto) return snappy_body(request.body, limit, out);
  if (!encoding.empty() && encoding != "identity") {
    return fail(ErrorKind::bad_input,
                fmt::format("Content-Encoding {} is not supported; use gzip, deflate, zstd or snappy", encoding));
  }
  if (request.body.size() > limit)
    return fail(ErrorKind::too_large, fmt::format("the body is larger than {} bytes", limit));
  out = std::move(request.body);
  return {};
}

Result<> PushHandler::decode(http::Request& request, bool otlp, const LogLimits& limits, Arena& arena) {
  const bool json = is_json(request);
  const auto type = to_lower(request.headers.get("Content-Type"));
  if (!json && !trim(type).empty() && type.find("protobuf") == std::string::npos) {
    return fail(ErrorKind::bad_input,
                fmt::format("Content-Type {} is not supported; use application/x-protobuf or application/json", type));
  }
  if (otlp) {
    TRY(unpack(request, false, arena.body));
    const auto& names = limits.discover_service_name;
    const auto unnamed = names.empty() ? std::string() : service_name_of(Labels(), names);
    return decode_otlp(arena.body, json, limits.otlp, clock_.now_ms() * 1'000'000, arena.rows, unnamed);
  }
  TRY(unpack(request, !json, arena.body));
  return json ? arena.json.decode(arena.body, arena.rows) : decode_push_proto(arena.body, arena.rows);
}

namespace {

// How a stream is spelled in the request: the text of its labels, or names and values made into one.
std::string_view spelling(const PushRows::Stream& stream, std::string& made) {
  if (!stream.text.empty()) return stream.text;
  made.clear();
  for (const auto& label : stream.labels) {
    made += label.name;
    made.push_back('\0');
    made += label.value;
    made.push_back('\0');
  }
  return made;
}

}  // namespace

Result<std::shared_ptr<PushHandler::Known>> PushHandler::learn(Tenant& tenant, const LogLimits& limits,
                                                               const PushRows::Stream& stream,
                                                               std::string_view spelled) {
  if (spelled.size() > kMostLabelBytes) {
    return fail(ErrorKind::too_large,
                fmt::format("stream labels size {} exceeds limit of {}", spelled.size(), kMostLabelBytes));
  }
  auto known = std::make_shared<Known>();
  known->labels = stream.text.empty() ? stream.labels : TRY(parse_stream_labels(stream.text));
  if (!limits.discover_service_name.empty() && !known->labels.has(kServiceName) && !known->labels.empty()) {
    known->labels.set(kServiceName, service_name_of(known->labels, limits.discover_service_name));
  }
  known->level = level_of_labels(known->labels);
  std::unique_lock lock(tenant.mutex);
  if (tenant.known.size() >= options_.streams_remembered) tenant.known.clear();
  tenant.known.emplace(std::string(spelled), known);
  return known;
}

// Gives each stream of the request its labels, made once for each spelling.
Result<> PushHandler::resolve(Tenant& tenant, const LogLimits& limits, Arena& arena) {
  const bool detect = limits.discover_log_levels && limits.store.allow_structured_metadata;
  const auto& streams = arena.rows.streams();
  std::string made;
  arena.known.reserve(streams.size());
  {
    std::shared_lock lock(tenant.mutex);  // one for all: most requests name streams that are known
    for (const auto& stream : streams) {
      const auto found = tenant.known.find(spelling(stream, made));
      arena.known.push_back(found == tenant.known.end() ? nullptr : found->second);
    }
  }
  for (std::size_t i = 0; i < streams.size(); ++i) {
    auto& known = arena.known[i];
    if (!known) known = TRY(learn(tenant, limits, streams[i], spelling(streams[i], made)));
    arena.levels.push_back(detect ? std::string_view(known->level) : std::string_view());
  }
  arena.rows.finish(detect, arena.levels);
  for (std::size_t i = 0; i < arena.known.size(); ++i) {
    const auto entries = arena.rows.entries(streams[i]);
    if (entries.empty()) continue;
    arena.streams.push_back({.ref = arena.known[i]->ref.load(std::memory_order_relaxed),
                             .labels = &arena.known[i]->labels,
                             .entries = entries});
  }
  return {};
}

http::Response PushHandler::answer(const AppendResult& result, const LogLimits& limits, std::size_t lines) const {
  if (result.rejected.empty()) return http::Response::empty(204);
  bool only_rates = true;
  std::size_t refused = 0;
  bool blocked = false;
  for (const auto& reason : result.rejected) {
    refused += reason.lines;
    only_rates = only_rates && (reason.reason == "rate_limited" || reason.reason == "per_stream_rate_limit" ||
                                reason.reason == "stream_limit");
    blocked = blocked || reason.reason == "blocked_ingestion";
  }
  std::string text;
  for (const auto& message : result.messages) text += message + "\n";
  text += fmt::format("total ignored: {} out of {}", refused, lines);
  const int status = blocked ? limits.store.block_ingestion_status_code : only_rates ? 429 : 400;
  return plain(status, text);
}

Task<Result<AppendResult>> PushHandler::append(Tenant& tenant, const LogLimits& limits, Arena& arena) {
  CO_TRY_VOID(resolve(tenant, limits, arena));
  tenant.bytes.add(static_cast<double>(arena.rows.line_bytes() + arena.rows.metadata_bytes()));
  tenant.lines.add(static_cast<double>(arena.rows.lines()));
  auto appended = co_await appender_.append(tenant.name, arena.streams);
  if (!appended) {
    if (status_of_failure(appended.error().kind) >= 500)
      log::warn(kRoom, "push failed", {{"tenant", tenant.name}, {"error", appended.error()}});
    co_return appended;
  }
  std::size_t at = 0;
  for (std::size_t i = 0; i < arena.known.size(); ++i) {
    if (arena.rows.streams()[i].count == 0) continue;
    arena.known[i]->ref.store(arena.streams[at++].ref, std::memory_order_relaxed);
  }
  co_return appended;
}

// Streams whose refs stay 0 have labels with very many values: one of them names the sender.
void PushHandler::tell_spilled(const Tenant& tenant, const Arena& arena, std::string_view address) const {
  if (!options_.spilled) return;
  const auto found = std::ranges::find(arena.streams, StreamRef{0}, &StreamRows::ref);
  if (found != arena.streams.end()) options_.spilled(tenant.name, *found->labels, address);
}

bool PushHandler::enter(std::size_t weight) {
  if (inflight_.fetch_add(weight) + weight <= options_.max_inflight) return true;
  inflight_.fetch_sub(weight);
  return false;
}

Task<http::Response> PushHandler::handle(http::Request& request, bool otlp) {
  const bool json = is_json(request);
  auto refuse = [otlp, json](int status, std::string_view text) {
    return otlp ? otlp_error(status, text, json) : plain(status, text);
  };
  if (request.identity.tenant.find('|') != std::string::npos) co_return refuse(400, kManyTenants);
  const auto weight = request.body.size() * 4;
  if (!enter(weight)) co_return refuse(503, kTooMany);
  co_await compute_.schedule();
  const auto shared = tenant(request.identity.tenant);
  auto& tenant = *shared;
  const auto limits = limits_(tenant.name);
  tenant.use(limits);
  auto arena = take_arena();
  http::Response response;
  if (auto ready = decode(request, otlp, *limits, *arena); !ready) {
    response = refuse(status_of_failure(ready.error().kind), ready.error().message);
  } else if (auto appended = co_await append(tenant, *limits, *arena); !appended) {
    response = refuse(status_of_failure(appended.error().kind), appended.error().message);
  } else {
    tell_spilled(tenant, *arena, request.remote_address);
    response = answer(*appended, *limits, arena->rows.lines());
    if (otlp) {
      response = response.status == 204 ? (json ? http::Response::json(200, "{}")
                                                : http::Response::text(200, "", "application/x-protobuf"))
                                        : otlp_error(response.status, response.body, json);
    }
  }
  return_arena(std::move(arena));
  inflight_.fetch_sub(weight);
  co_return response;
}

Task<Result<PushHandler::Stored>> PushHandler::store(std::string_view name, std::size_t bytes, Decode decode) {
  if (name.find('|') != std::string_view::npos) co_return fail(ErrorKind::bad_input, std::string(kManyTenants));
  const auto weight = bytes * 4;
  if (!enter(weight)) co_return fail(ErrorKind::unavailable, std::string(kTooMany));
  co_await compute_.schedule();
  const auto shared = tenant(name);
  Stored stored;
  stored.limits = limits_(shared->name);
  shared->use(stored.limits);
  auto arena = take_arena();
  Result<> done = decode(arena->rows, *stored.limits);
  if (done) {
    auto appended = co_await append(*shared, *stored.limits, *arena);
    stored.lines = arena->rows.lines();
    if (appended) {
      stored.result = std::move(*appended);
    } else {
      done = std::unexpected(std::move(appended.error()));
    }
  }
  return_arena(std::move(arena));
  inflight_.fetch_sub(weight);
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return stored;
}

}  // namespace tocayo::logs::api
