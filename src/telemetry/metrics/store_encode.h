// SPDX-License-Identifier: Apache-2.0
// Judges the rows of one request part and writes the accepted ones into a journal record. Internal to the store.
#pragma once

#include <string>
#include <string_view>

#include "metrics/store_impl.h"

namespace tocayo::metrics {

// "<text> (err-mimir-<id>). To adjust the limit, configure limits.<key>", kind `limit`.
Error limit_error(std::string text, std::string_view id, std::string_view key);

// Lives while the head shard is locked exclusively.
class StoreImpl::Encoding {
 public:
  Encoding(StoreImpl& store, Request& request, Part& part, WalEncoder& encoder)
      : store_(store), request_(request), part_(part), head_(*part.head), tenant_(*request.tenant), encoder_(encoder) {}

  void series_rows(std::uint32_t index);

 private:
  // Whether a row at this time may be accepted, as far as the clock and the tenant's newest sample say.
  enum class TimeCheck : unsigned char { ok, future, past, too_old };
  TimeCheck check_time(TimestampMs time) const;
  bool out_of_order_allowed(TimestampMs time) const;

  Series* resolve(std::uint32_t index);
  Series* create(std::uint64_t hash, const SeriesRows& rows);
  void define(Series& series);
  void float_row(Series& series, const FloatRow& row);
  void histogram_row(Series& series, HistRow row);
  void exemplar_row(Series& series, const ExemplarRow& row);
  // The series' own order: newer than all, the newest again, or late. Counts what is known already as written.
  enum class Verdict : unsigned char { accept, again, known, rejected };
  Verdict judge(Series& series, TimestampMs time, double value, const FloatHistogram* histogram);
  // A row of a request under way; `own` tells whether it is this one.
  std::optional<HeadShard::Found> pending_row(const Series& series, TimestampMs time, bool& own) const;
  void accepted(Series& series, TimestampMs time);
  void reject_time(TimeCheck check, TimestampMs time, const std::function<std::string()>& series);
  std::string name_of(const Series& series) const { return head_.labels_of(series).to_string(); }

  StoreImpl& store_;
  Request& request_;
  Part& part_;
  HeadShard& head_;
  Tenant& tenant_;
  WalEncoder& encoder_;
  std::string scratch_;
};

}  // namespace tocayo::metrics
