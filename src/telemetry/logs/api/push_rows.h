// SPDX-License-Identifier: Apache-2.0
// A push request decoded: streams with their lines, as views of the body and of an arena. Used again for the next
// request.
#pragma once

#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/labels.h"
#include "logs/entry.h"

namespace tocayo::logs::api {

class PushRows {
 public:
  struct Stream {
    std::string_view text;  // the labels as sent (`{a="b"}`), or empty when `labels` is set
    Labels labels;
    std::size_t first = 0;  // of entries()
    std::size_t count = 0;
  };

  void clear();
  // Bytes that live until clear(); for what has to be made.
  std::string_view keep(std::string bytes);

  void start_stream(std::string_view text);
  void start_stream(Labels labels);
  // Adds a row to the last stream; its metadata are the pairs given to add_metadata() since the row before.
  void add_metadata(std::string_view name, std::string_view value);
  void add_entry(TimestampNs time, std::string_view line);
  // Pairs that every following row has besides its own; until the next call. Own pairs come first.
  void set_shared_metadata(std::vector<LabelView> pairs) { shared_ = std::move(pairs); }

  std::vector<Stream>& streams() { return streams_; }
  std::size_t lines() const { return entries_.size(); }
  std::uint64_t line_bytes() const { return line_bytes_; }
  std::uint64_t metadata_bytes() const { return metadata_bytes_; }
  std::size_t memory_bytes() const {
    return entries_.capacity() * sizeof(EntryRow) + pairs_.capacity() * sizeof(LabelView);
  }

  // Puts the metadata of each row in order, with `detected_level` where asked: levels[stream] is the level its labels
  // tell, detection is off with `detect` false. After this no row may be added.
  void finish(bool detect, std::span<const std::string_view> level_of_stream);
  std::span<const EntryRow> entries(const Stream& stream) const {
    return std::span<const EntryRow>(entries_).subspan(stream.first, stream.count);
  }

 private:
  struct Range {
    std::uint32_t first;
    std::uint32_t count;
  };
  void settle(std::size_t row, bool detect, std::string_view stream_level);

  std::vector<Stream> streams_;
  std::vector<EntryRow> entries_;
  std::vector<Range> ranges_;     // of raw_, per entry
  std::vector<LabelView> raw_;    // as sent
  std::vector<LabelView> pairs_;  // in order
  std::vector<std::size_t> starts_;
  std::vector<LabelView> shared_;
  std::size_t pending_ = 0;
  std::deque<std::string> kept_;
  std::uint64_t line_bytes_ = 0;
  std::uint64_t metadata_bytes_ = 0;
};

}  // namespace tocayo::logs::api
