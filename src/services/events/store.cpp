// SPDX-License-Identifier: Apache-2.0
#include "events/store.h"

#include <boost/json.hpp>

namespace tocayo::events::store {

namespace {

constexpr std::string_view kColumns =
    "id, tenant, time_ms, recorded_ms, kind, source, actor, title, detail, url, labels, dedup_key";

std::string labels_text(const std::map<std::string, std::string>& labels) {
  boost::json::object out;
  for (auto& [name, value] : labels) out[name] = value;
  return boost::json::serialize(out);
}

std::map<std::string, std::string> labels_of(const std::string& text) {
  std::map<std::string, std::string> out;
  boost::system::error_code failed;
  auto value = boost::json::parse(text, failed);
  if (failed || !value.is_object()) return out;
  for (auto& [name, label] : value.as_object()) {
    if (label.is_string()) out[std::string(name)] = std::string(label.as_string());
  }
  return out;
}

Result<std::vector<Event>> read(db::Session& db, const std::string& rest, const db::Args& args) {
  auto rows = TRY((db.query<std::int64_t, std::string, std::int64_t, std::int64_t, std::string, std::string,
                            std::string, std::string, std::string, std::string, std::string, std::string>(
      "SELECT " + std::string(kColumns) + " FROM event WHERE " + rest, args)));
  std::vector<Event> out;
  for (auto& [id, tenant, time, recorded, kind, source, actor, title, detail, url, labels, key] : rows) {
    out.push_back({id, std::move(tenant), time, recorded, std::move(kind), std::move(source), std::move(actor),
                   std::move(title), std::move(detail), std::move(url), labels_of(labels), std::move(key)});
  }
  return out;
}

// '%' and '_' of a user's text are letters.
std::string like_escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '%' || c == '_' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

Result<std::optional<std::int64_t>> add(db::Transaction& db, const Event& e) {
  auto id = TRY(db.query_value<std::int64_t>(
      "INSERT INTO event (tenant, time_ms, recorded_ms, kind, source, actor, title, detail, url, labels, dedup_key)"
      " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (tenant, dedup_key) WHERE dedup_key <> '' DO "
      "NOTHING RETURNING id",
      {e.tenant, e.time_ms, e.recorded_ms, e.kind, e.source, e.actor, e.title, e.detail, e.url, labels_text(e.labels),
       e.dedup_key}));
  if (!id) return id;
  for (auto& [name, value] : e.labels) {
    TRY(db.execute("INSERT INTO event_label (event_id, name, value) VALUES ($1, $2, $3)", {*id, name, value}));
  }
  return id;
}

Result<std::optional<Event>> by_dedup_key(db::Session& db, const std::string& tenant, const std::string& key) {
  auto found = TRY(read(db, "tenant = $1 AND dedup_key = $2", {tenant, key}));
  if (found.empty()) return std::optional<Event>();
  return std::optional<Event>(std::move(found.front()));
}

Result<std::vector<Event>> list(db::Session& db, const std::string& tenant, const EventFilter& filter,
                                std::optional<std::pair<TimestampMs, std::int64_t>> before, std::int64_t limit) {
  db::Args args;
  auto arg = [&](db::Arg value) {
    args.push_back(std::move(value));
    return "$" + std::to_string(args.size());
  };
  std::string where = "tenant = " + arg(tenant);
  if (filter.from_ms) where += " AND time_ms >= " + arg(*filter.from_ms);
  if (filter.to_ms) where += " AND time_ms <= " + arg(*filter.to_ms);
  if (!filter.source.empty()) where += " AND source = " + arg(filter.source);
  if (!filter.text.empty())
    where += " AND lower(title) LIKE lower(" + arg("%" + like_escaped(filter.text) + "%") + ") ESCAPE '\\'";
  if (!filter.kinds.empty()) {
    std::string any;
    for (const std::string& kind : filter.kinds) {
      any += any.empty() ? "" : " OR ";
      if (kind.ends_with('*'))
        any += "kind LIKE " + arg(like_escaped(kind.substr(0, kind.size() - 1)) + "%") + " ESCAPE '\\'";
      else
        any += "kind = " + arg(kind);
    }
    where += " AND (" + any + ")";
  }
  for (auto& [name, value] : filter.labels) {
    where += " AND EXISTS (SELECT 1 FROM event_label l WHERE l.event_id = event.id AND l.name = " + arg(name) +
             " AND l.value = " + arg(value) + ")";
  }
  if (before) {
    std::string time = arg(before->first);
    where += " AND (time_ms < " + time + " OR (time_ms = " + time + " AND id < " + arg(before->second) + "))";
  }
  return read(db, where + " ORDER BY time_ms DESC, id DESC LIMIT " + arg(limit), args);
}

Result<std::int64_t> trim(db::Transaction& db, const std::string& tenant, std::int64_t rows,
                          TimestampMs recorded_before, std::int64_t batch) {
  auto oldest_kept = TRY(db.query_value<std::int64_t>(
      "SELECT id FROM event WHERE tenant = $1 ORDER BY id DESC LIMIT 1 OFFSET $2", {tenant, rows - 1}));
  return db.execute(
      "DELETE FROM event WHERE id IN (SELECT id FROM event WHERE tenant = $1 AND (id < $2 OR recorded_ms < $3) ORDER "
      "BY id LIMIT $4)",
      {tenant, oldest_kept.value_or(0), recorded_before, batch});
}

}  // namespace tocayo::events::store
