// SPDX-License-Identifier: Apache-2.0
#include "logs/store/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include "core/hash.h"
#include "logs/head/label_bytes.h"

namespace tocayo::logs {
namespace {

constexpr std::size_t kMaxMessages = 10;

std::size_t metadata_size(std::span<const LabelView> metadata) {
  std::size_t size = 0;
  for (const LabelView& pair : metadata) size += pair.name.size() + pair.value.size();
  return size;
}

std::size_t bytes_of(std::span<const EntryRow> entries) {
  std::size_t size = 0;
  for (const EntryRow& entry : entries) size += entry.line.size() + metadata_size(entry.metadata);
  return size;
}

// Seconds precision and Z, as Loki prints times.
std::string time_text(TimestampNs time) {
  std::string text = format_rfc3339(time >= 0 ? time / 1'000'000 : (time - 999'999) / 1'000'000);
  if (const std::size_t dot = text.find('.'); dot != std::string::npos) text = text.substr(0, dot) + "Z";
  return text;
}

// "3MB", "8238B": decimal units, up to four significant digits.
std::string byte_size(double bytes) {
  const char* const units[] = {"B", "kB", "MB", "GB", "TB"};
  std::size_t unit = 0;
  while (bytes >= 1000 && unit < 4) {
    bytes /= 1000;
    ++unit;
  }
  return fmt::format("{:.4g}{}", bytes, units[unit]);
}

// Takes `wanted` from a bucket that refills at `rate` a second up to `burst`; negative tokens mean that it is full.
bool take(double& tokens, TimestampMs& refilled, double rate, double burst, double wanted, TimestampMs now) {
  burst = std::max(burst, rate);
  if (tokens < 0 || refilled == 0) {
    tokens = burst;
  } else if (now > refilled) {
    tokens = std::min(burst, tokens + rate * static_cast<double>(now - refilled) / 1000);
  }
  refilled = now;
  if (wanted > tokens) return false;
  tokens -= wanted;
  return true;
}

}  // namespace

std::string_view Arena::copy(std::string_view a, std::string_view b) {
  const std::size_t size = a.size() + b.size();
  if (size > left_) {
    left_ = std::max<std::size_t>(size, 32 << 10);
    at_ = blocks_.emplace_back(std::make_unique_for_overwrite<char[]>(left_)).get();
  }
  char* start = at_;
  if (!a.empty()) std::memcpy(start, a.data(), a.size());
  if (!b.empty()) std::memcpy(start + a.size(), b.data(), b.size());
  at_ += size;
  left_ -= size;
  return {start, size};
}

// Where lines go: a stream, and what each row carries of its labels (label bytes; empty when it is not spilled).
struct AppendPlan::Target {
  std::shared_ptr<Stream> stream;
  std::string row;
};

class AppendPlan::Builder {
 public:
  Builder(AppendPlan& plan, Tenant& tenant, const TenantLimits& limits, TimestampMs now, AppendResult& result)
      : plan_(plan), tenant_(tenant), limits_(limits), now_(now), result_(result) {
    // Sums that leave 64 bits mean that everything passes.
    const TimestampNs now_ns = now * 1'000'000;
    if (__builtin_add_overflow(now_ns, limits.creation_grace_period.count(), &newest_)) newest_ = INT64_MAX;
    newest_ = std::min(newest_, INT64_MAX - 1);  // ranges are half open
    if (!limits.reject_old_samples ||
        __builtin_sub_overflow(now_ns, limits.reject_old_samples_max_age.count(), &oldest_)) {
      oldest_ = INT64_MIN;
    }
  }

  std::optional<Target> resolve(const StreamRows& rows);
  void add(Target target, std::span<const EntryRow> entries);
  void refuse_all(std::string_view reason, std::span<StreamRows> rows, std::string message);
  // What is refused from now on is of this stream of the call.
  void at(std::uint32_t stream) { stream_ = stream; }

 private:
  template <typename Message>
  void reject(std::string_view reason, std::size_t lines, std::size_t bytes, const Message& message) {
    if (lines == 0) return;
    result_.places.push_back({stream_, entry_, reason});
    auto& list = result_.rejected;
    auto known = std::find_if(list.begin(), list.end(), [&](const auto& r) { return r.reason == reason; });
    if (known == list.end()) {
      list.push_back({reason, lines, bytes});
    } else {
      known->lines += lines;
      known->bytes += bytes;
    }
    if (result_.messages.size() < kMaxMessages) result_.messages.push_back(message());
  }
  bool check_labels(const StreamRows& rows);
  bool check_entry(const Target& target, const EntryRow& entry);
  static std::string text(const Target& target);
  std::optional<Target> spilled(const StreamRows& rows, const Names& names, std::string stream, std::string row);
  void look_at_growth();
  void refuse_stream(const StreamRows& rows);

  AppendPlan& plan_;
  Tenant& tenant_;
  const TenantLimits& limits_;
  TimestampMs now_;
  AppendResult& result_;
  TimestampNs newest_ = 0;
  TimestampNs oldest_ = 0;
  std::uint32_t stream_ = AppendResult::kAll;
  std::uint32_t entry_ = AppendResult::kAll;
  std::string scratch_;
  std::string last_row_;
  std::span<const LabelView> last_metadata_;  // of the caller …
  std::string_view last_stored_;              // … and its bytes
};

bool AppendPlan::Builder::check_labels(const StreamRows& rows) {
  const Labels& labels = *rows.labels;
  const std::size_t lines = rows.entries.size();
  auto refuse = [&](std::string_view reason, const auto& message) {
    reject(reason, lines, bytes_of(rows.entries), message);
    return false;
  };
  if (labels.empty()) {
    return refuse("missing_labels", [] { return std::string("error at least one label pair is required per stream"); });
  }
  std::string missing;
  for (const std::string& name : limits_.enforced_labels) {
    if (!labels.has(name)) missing += (missing.empty() ? "" : ",") + name;
  }
  if (!missing.empty()) {
    return refuse("missing_enforced_labels", [&] {
      return fmt::format("missing required labels {} for user {} for stream {}", missing, tenant_.name,
                         labels.to_string(false));
    });
  }
  if (limits_.max_label_names_per_series != 0 && labels.size() > limits_.max_label_names_per_series) {
    return refuse("max_label_names_per_series", [&] {
      return fmt::format("entry for stream '{}' has {} label names; limit {}", labels.to_string(false), labels.size(),
                         limits_.max_label_names_per_series);
    });
  }
  for (const Label& label : labels) {
    if (reserved_name(label.name)) {
      return refuse("invalid_labels", [&] {
        return fmt::format("stream '{}' has a label name that begins with a control character or is empty",
                           labels.to_string(false));
      });
    }
    if (limits_.max_label_name_length != 0 && label.name.size() > limits_.max_label_name_length) {
      return refuse("label_name_too_long", [&] {
        return fmt::format("stream '{}' has label name too long: '{}'", labels.to_string(false), label.name);
      });
    }
    if (limits_.max_label_value_length != 0 && label.value.size() > limits_.max_label_value_length) {
      return refuse("label_value_too_long", [&] {
        return fmt::format("stream '{}' has label value too long: '{}'", labels.to_string(false), label.value);
      });
    }
  }
  return true;
}

std::string AppendPlan::Builder::text(const Target& target) {
  if (target.row.empty()) return decode_labels(target.stream->labels).to_string(false);
  std::vector<LabelView> pairs;
  LabelCursor cursor(target.row);
  for (LabelView pair; cursor.next(pair);) pairs.push_back(pair);
  std::string bytes;
  SpilledStream(target.stream->labels).fold(pairs, bytes);
  return decode_labels(bytes).to_string(false);
}

std::optional<AppendPlan::Target> AppendPlan::Builder::resolve(const StreamRows& rows) {
  if (!check_labels(rows)) return std::nullopt;
  scratch_.clear();
  encode_labels(*rows.labels, scratch_);
  const std::uint64_t hash = hash64(scratch_);
  // A stream that is there goes on, so that a request sent again is compared with its lines.
  if (auto found = tenant_.index.find(scratch_, hash)) return Target{std::move(found), {}};
  if (limits_.max_label_values_per_day != 0) {
    if (const auto names = tenant_.spill.names()) {
      std::string stream;
      std::string row;
      if (spill(*rows.labels, *names, stream, row)) return spilled(rows, *names, std::move(stream), std::move(row));
    }
  }
  auto added = tenant_.index.add(scratch_, hash, limits_.max_streams, now_);
  if (!added) {
    refuse_stream(rows);
    return std::nullopt;
  }
  ++plan_.created_streams;
  if (limits_.max_label_values_per_day != 0) look_at_growth();
  return Target{std::move(added), {}};
}

std::optional<AppendPlan::Target> AppendPlan::Builder::spilled(const StreamRows& rows, const Names& names,
                                                               std::string stream, std::string row) {
  const std::uint64_t hash = hash64(stream);
  auto found = tenant_.index.find(stream, hash);
  if (!found) {
    found = tenant_.index.add(stream, hash, limits_.max_streams, now_);
    if (!found) {
      refuse_stream(rows);
      return std::nullopt;
    }
    ++plan_.created_streams;
    look_at_growth();  // of the labels that are left
  }
  for (const Label& label : *rows.labels) {
    if (names.contains(label.name)) tenant_.spill.add_value(label.name, label.value, now_);
  }
  return Target{std::move(found), std::move(row)};
}

// After a new stream: which labels got too many values.
void AppendPlan::Builder::look_at_growth() {
  for (const auto& [name, values] : tenant_.index.grown(limits_.max_label_values_per_day + 1, now_)) {
    if (name != kSpillMark) tenant_.spill.add(name, now_);
  }
}

void AppendPlan::Builder::refuse_stream(const StreamRows& rows) {
  reject("stream_limit", rows.entries.size(), bytes_of(rows.entries), [&] {
    return fmt::format(
        "maximum active stream limit exceeded when trying to create stream {}, reduce the number of active streams "
        "(reduce labels or reduce label values), or contact your Loki administrator to see if the limit can be "
        "increased, user: '{}'",
        rows.labels->to_string(false), tenant_.name);
  });
}

bool AppendPlan::Builder::check_entry(const Target& target, const EntryRow& entry) {
  const std::size_t bytes = entry.line.size() + metadata_size(entry.metadata);
  if (entry.time < oldest_) {
    reject("greater_than_max_sample_age", 1, bytes, [&] {
      return fmt::format("entry for stream '{}' has timestamp too old: {}, oldest acceptable timestamp is: {}",
                         text(target), time_text(entry.time), time_text(oldest_));
    });
    return false;
  }
  if (entry.time > newest_) {
    reject("too_far_in_future", 1, bytes, [&] {
      return fmt::format("entry for stream '{}' has timestamp too new: {}", text(target), time_text(entry.time));
    });
    return false;
  }
  if (limits_.max_line_size != 0 && entry.line.size() > limits_.max_line_size && !limits_.max_line_size_truncate) {
    reject("line_too_long", 1, bytes, [&] {
      return fmt::format(
          "max entry size '{}' bytes exceeded for stream '{}' while adding an entry with length '{}' bytes",
          limits_.max_line_size, text(target), entry.line.size());
    });
    return false;
  }
  if (entry.metadata.empty()) return true;
  if (reserved_name(entry.metadata[0].name)) {  // sorted: the first has the smallest
    reject("invalid_labels", 1, bytes, [&] {
      return fmt::format(
          "stream '{}' has structured metadata with a name that begins with a control character or is empty",
          text(target));
    });
    return false;
  }
  if (!limits_.allow_structured_metadata) {
    reject("disallowed_structured_metadata", 1, bytes, [&] {
      return fmt::format(
          "stream '{}' includes structured metadata, but this feature is disallowed. Please see "
          "`limits_config.allow_structured_metadata` or contact your Loki administrator to enable it.",
          text(target));
    });
    return false;
  }
  const std::size_t size = bytes - entry.line.size();
  if (limits_.max_structured_metadata_size != 0 && size > limits_.max_structured_metadata_size) {
    reject("structured_metadata_too_large", 1, bytes, [&] {
      return fmt::format(
          "stream '{}' has structured metadata too large: '{}' bytes, limit: '{}' bytes. Please see "
          "`limits_config.max_structured_metadata_size` or contact your Loki administrator to increase it.",
          text(target), size, limits_.max_structured_metadata_size);
    });
    return false;
  }
  if (limits_.max_structured_metadata_entries_count != 0 &&
      entry.metadata.size() > limits_.max_structured_metadata_entries_count) {
    reject("structured_metadata_too_many", 1, bytes, [&] {
      return fmt::format(
          "stream '{}' has too many structured metadata labels: '{}', limit: '{}'. Please see "
          "`limits_config.max_structured_metadata_entries_count` or contact your Loki administrator to increase it.",
          text(target), entry.metadata.size(), limits_.max_structured_metadata_entries_count);
    });
    return false;
  }
  return true;
}

void AppendPlan::Builder::add(Target target, std::span<const EntryRow> entries) {
  const std::size_t first = plan_.rows_.size();
  std::size_t bytes = 0;
  for (const EntryRow& entry : entries) {
    entry_ = static_cast<std::uint32_t>(&entry - entries.data());
    if (!check_entry(target, entry)) continue;
    RecordRow& row = plan_.rows_.emplace_back();
    row.time = entry.time;
    row.line = entry.line;
    if (limits_.max_line_size != 0 && entry.line.size() > limits_.max_line_size) {
      const std::string& mark = limits_.max_line_size_truncate_identifier;
      const std::size_t keep = limits_.max_line_size - std::min(limits_.max_line_size, mark.size());
      row.line =
          plan_.arena_.copy(entry.line.substr(0, keep), std::string_view(mark).substr(0, limits_.max_line_size - keep));
    }
    if (!entry.metadata.empty() || !target.row.empty()) {
      // Runs of lines with equal metadata share its bytes.
      if (last_row_ != target.row || !std::ranges::equal(entry.metadata, last_metadata_)) {
        scratch_ = target.row;
        encode_labels(entry.metadata, scratch_);
        last_stored_ = plan_.arena_.copy(scratch_);
        last_row_ = target.row;
        last_metadata_ = entry.metadata;
      }
      row.metadata = last_stored_;
    }
    bytes += row.line.size();
  }
  entry_ = AppendResult::kAll;
  const std::size_t count = plan_.rows_.size() - first;
  if (count == 0) return;
  const auto& stream = target.stream;
  // The streams that a spilled one stands for share nothing else.
  if (limits_.per_stream_rate_limit > 0 && target.row.empty()) {
    bool passed = false;
    {
      std::lock_guard lock(tenant_.stripe(stream->id));
      passed = take(stream->tokens, stream->refilled, limits_.per_stream_rate_limit,
                    limits_.per_stream_rate_limit_burst, static_cast<double>(bytes), now_);
    }
    if (!passed) {
      plan_.rows_.resize(first);
      reject("per_stream_rate_limit", count, bytes, [&] {
        return fmt::format(
            "Per stream rate limit exceeded (limit: {}/sec) while attempting to ingest for stream '{}' totaling {}, "
            "consider splitting a stream via additional labels or contact your Loki administrator to see if the limit "
            "can be increased",
            byte_size(limits_.per_stream_rate_limit), text(target), byte_size(static_cast<double>(bytes)));
      });
      return;
    }
  }
  plan_.streams.push_back({stream, first, count});
}

void AppendPlan::Builder::refuse_all(std::string_view reason, std::span<StreamRows> rows, std::string message) {
  std::size_t lines = 0;
  std::size_t bytes = 0;
  for (const StreamRows& stream : rows) {
    lines += stream.entries.size();
    bytes += bytes_of(stream.entries);
  }
  reject(reason, lines, bytes, [&] { return message; });
}

void AppendPlan::make(Tenant& tenant, const TenantLimits& limits, std::uint64_t epoch, TimestampMs now,
                      std::span<StreamRows> rows, AppendResult& result) {
  Builder builder(*this, tenant, limits, now, result);
  for (const StreamRows& stream : rows) {
    received_lines += stream.entries.size();
    received_bytes += bytes_of(stream.entries);
  }
  if (limits.block_ingestion_until > now) {
    builder.refuse_all(
        "blocked_ingestion", rows,
        fmt::format("ingestion blocked for user {} until '{}' with status code '{}'", tenant.name,
                    time_text(limits.block_ingestion_until * 1'000'000), limits.block_ingestion_status_code));
    return;
  }
  if (limits.ingestion_rate > 0) {
    bool passed = false;
    {
      std::lock_guard lock(tenant.rate_mutex);
      passed = take(tenant.tokens, tenant.refilled, limits.ingestion_rate, limits.ingestion_burst_size,
                    static_cast<double>(received_bytes), now);
    }
    if (!passed) {
      builder.refuse_all(
          "rate_limited", rows,
          fmt::format("ingestion rate limit exceeded for user {} (limit: {} bytes/sec) while attempting to ingest '{}' "
                      "lines totaling '{}' bytes, reduce log volume or contact your Loki administrator to see if the "
                      "limit can be increased",
                      tenant.name, static_cast<std::uint64_t>(limits.ingestion_rate), received_lines, received_bytes));
      return;
    }
  }
  rows_.reserve(received_lines);
  for (std::uint32_t i = 0; i < rows.size(); ++i) {
    StreamRows& stream = rows[i];
    builder.at(i);
    std::optional<Target> found;
    if (stream.ref != 0) {
      if (auto known = stream_of(epoch, tenant, stream.ref)) found = Target{std::move(known), {}};
    }
    if (!found) {
      stream.ref = 0;
      if (stream.labels == nullptr) {
        result.unresolved.push_back(i);
        continue;
      }
      found = builder.resolve(stream);
      if (!found) continue;
      // A spilled stream's lines need their labels each time.
      if (found->row.empty()) stream.ref = make_ref(epoch, tenant, found->stream->id);
    }
    builder.add(std::move(*found), stream.entries);
  }
}

}  // namespace tocayo::logs
