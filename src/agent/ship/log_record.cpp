// SPDX-License-Identifier: Apache-2.0
#include "agent/ship/log_record.h"

#include <zstd.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "agent/ship/record_bytes.h"

namespace tocayo::agent {
namespace {

using namespace record_bytes;

constexpr char kVersion = 1;

std::string stream_text(const Labels& labels, const Labels& external) {
  if (external.empty()) return labels.to_string(false);
  Labels all = labels;
  for (const Label& label : external) {
    if (!all.has(label.name)) all.set(label.name, label.value);
  }
  return all.to_string(false);
}

struct StreamLines {
  const Labels* labels;
  std::vector<const ShipLine*> lines;
};
struct TenantLines {
  LogTenantHead head;
  std::vector<StreamLines> streams;
  std::unordered_map<const Labels*, std::size_t> by_place;  // the usual way: lines of a stream share their labels
  std::map<Labels, std::size_t> by_value;
};

void add(TenantLines& tenant, const ShipLine& line) {
  auto [known, fresh] = tenant.by_place.try_emplace(line.labels, tenant.streams.size());
  if (fresh) {
    const auto [same, other] = tenant.by_value.try_emplace(*line.labels, tenant.streams.size());
    known->second = same->second;
    if (other) tenant.streams.push_back({line.labels, {}});
  }
  tenant.streams[known->second].lines.push_back(&line);
  LogTenantHead& head = tenant.head;
  head.min_time = head.lines == 0 ? line.time : std::min(head.min_time, line.time);
  head.max_time = head.lines == 0 ? line.time : std::max(head.max_time, line.time);
  ++head.lines;
  head.bytes += line.text.size();
}

Result<LogRecordHead> read_head(Input& in) {
  const auto bad = [] { return fail(ErrorKind::bad_input, "a damaged record of log lines"); };
  if (in.rest.empty() || in.rest.front() != kVersion) return bad();
  in.rest.remove_prefix(1);
  LogRecordHead head;
  head.batch = in.varint();
  const auto marks = in.count(2);
  for (std::uint32_t i = 0; i < marks && !in.failed; ++i) {
    const auto key = in.text(), value = in.text();
    head.marks.emplace_back(key, value);
  }
  const auto tenants = in.count(5);
  for (std::uint32_t i = 0; i < tenants && !in.failed; ++i) {
    LogTenantHead tenant;
    tenant.tenant = in.text();
    tenant.lines = in.varint();
    tenant.bytes = in.varint();
    tenant.min_time = in.signed_varint();
    tenant.max_time = in.signed_varint();
    head.tenants.push_back(std::move(tenant));
  }
  if (in.failed) return bad();
  return head;
}

}  // namespace

std::string encode_log_record(std::uint64_t batch, const LogMarks& marks, std::span<const ShipLine> lines,
                              const Labels& external) {
  std::map<std::string, TenantLines, std::less<>> tenants;
  TenantLines* last = nullptr;
  for (const ShipLine& line : lines) {
    if (last == nullptr || last->head.tenant != line.tenant) {
      auto found = tenants.find(line.tenant);
      if (found == tenants.end()) {
        found = tenants.try_emplace(std::string(line.tenant)).first;
        found->second.head.tenant = line.tenant;
      }
      last = &found->second;
    }
    add(*last, line);
  }
  std::string out(1, kVersion), body;
  put_varint(out, batch);
  put_varint(out, marks.size());
  for (const auto& [key, value] : marks) {
    put_text(out, key);
    put_text(out, value);
  }
  put_varint(out, tenants.size());
  std::size_t bytes = 0;
  for (const auto& [name, tenant] : tenants) bytes += tenant.head.bytes + tenant.head.lines * 12;
  body.reserve(bytes + 4096);
  for (const auto& [name, tenant] : tenants) {
    put_text(out, name);
    put_varint(out, tenant.head.lines);
    put_varint(out, tenant.head.bytes);
    put_signed(out, tenant.head.min_time);
    put_signed(out, tenant.head.max_time);
    put_varint(body, tenant.streams.size());
    for (const auto& stream : tenant.streams) {
      put_text(body, stream_text(*stream.labels, external));
      put_varint(body, stream.lines.size());
      TimestampNs before = 0;
      for (const ShipLine* line : stream.lines) {
        put_signed(body, minus(line->time, before));
        before = line->time;
        put_text(body, line->text);
        put_varint(body, line->metadata.size());
        for (const Label& label : line->metadata) {
          put_text(body, label.name);
          put_text(body, label.value);
        }
      }
    }
  }
  put_body(out, body);
  return out;
}

Result<LogRecordHead> decode_log_head(std::string_view payload) {
  Input in{payload};
  return read_head(in);
}

Result<std::unique_ptr<LogRows>> decode_log_rows(std::string_view payload, std::string_view wanted) {
  const auto bad = [] { return fail(ErrorKind::bad_input, "a damaged record of log lines"); };
  Input outer{payload};
  const auto head = TRY(read_head(outer));
  const auto size = outer.varint();
  if (outer.failed || size > kMaxBody || ZSTD_getFrameContentSize(outer.rest.data(), outer.rest.size()) != size)
    return bad();
  auto rows = std::make_unique<LogRows>();
  rows->body.resize(size);
  const auto got = ZSTD_decompress(rows->body.data(), size, outer.rest.data(), outer.rest.size());
  if (ZSTD_isError(got) != 0 || got != size) return bad();
  Input in{rows->body};
  for (const auto& tenant : head.tenants) {
    const bool mine = tenant.tenant == wanted;
    std::uint64_t lines = 0;
    const auto streams = in.count(2);
    for (std::uint32_t i = 0; i < streams && !in.failed; ++i) {
      LogRows::Stream stream{in.text(), static_cast<std::uint32_t>(rows->entries.size()), in.count(3)};
      TimestampNs time = 0;
      for (std::uint32_t j = 0; j < stream.count && !in.failed; ++j) {
        LogRows::Entry entry{};
        time = plus(time, in.signed_varint());
        entry.time = time;
        entry.line = in.text();
        entry.metadata_begin = static_cast<std::uint32_t>(rows->metadata.size());
        entry.metadata_count = in.count(2);
        for (std::uint32_t k = 0; k < entry.metadata_count && !in.failed; ++k) {
          const auto name = in.text(), value = in.text();
          if (mine) rows->metadata.emplace_back(name, value);
        }
        if (mine) rows->entries.push_back(entry);
        ++lines;
      }
      if (mine) rows->streams.push_back(stream);
    }
    if (in.failed || lines != tenant.lines) return bad();
  }
  if (!in.rest.empty()) return bad();
  return rows;
}

namespace {

void put_key(std::string& out, unsigned field, unsigned wire) { out += static_cast<char>(field << 3 | wire); }
void put_bytes(std::string& out, unsigned field, std::string_view bytes) {
  put_key(out, field, 2);
  put_text(out, bytes);
}

}  // namespace

std::string encode_push_request(std::span<const LogItem> items) {
  // PushRequest{streams=1}, StreamAdapter{labels=1, entries=2}, EntryAdapter{timestamp=1, line=2,
  // structuredMetadata=3}, Timestamp{seconds=1, nanos=2}, LabelPair{name=1, value=2}.
  std::string out, stream, entry, part;
  for (const LogItem& item : items) {
    stream.clear();
    put_bytes(stream, 1, item.rows->streams[item.stream].labels);
    for (std::uint32_t i = item.begin; i < item.begin + item.count; ++i) {
      const auto& row = item.rows->entries[i];
      entry.clear();
      part.clear();
      std::int64_t seconds = row.time / 1'000'000'000, nanos = row.time % 1'000'000'000;
      if (nanos < 0) {
        nanos += 1'000'000'000;
        --seconds;
      }
      if (seconds != 0) {
        put_key(part, 1, 0);
        put_varint(part, static_cast<std::uint64_t>(seconds));
      }
      if (nanos != 0) {
        put_key(part, 2, 0);
        put_varint(part, static_cast<std::uint64_t>(nanos));
      }
      put_bytes(entry, 1, part);
      put_bytes(entry, 2, row.line);
      for (std::uint32_t j = row.metadata_begin; j < row.metadata_begin + row.metadata_count; ++j) {
        part.clear();
        put_bytes(part, 1, item.rows->metadata[j].first);
        put_bytes(part, 2, item.rows->metadata[j].second);
        put_bytes(entry, 3, part);
      }
      put_bytes(stream, 2, entry);
    }
    put_bytes(out, 1, stream);
  }
  return out;
}

}  // namespace tocayo::agent
