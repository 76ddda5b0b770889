// SPDX-License-Identifier: Apache-2.0
#include "journal/local_journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "journal/local_partition.h"

namespace tocayo::journal {

Task<Result<Position>> Partition::append(std::uint8_t kind, std::string_view payload) {
  using Outcome = Result<Position>;
  co_return co_await completion<Outcome>([&](auto complete) {
    // The acknowledgement may come before append() has returned the position, so both meet in `state`.
    struct State {
      std::mutex mutex;
      bool acknowledged = false;
      Result<> result;
      std::optional<Position> position;
    };
    auto state = std::make_shared<State>();  // shared: two ends, either may be last
    auto outcome = append(kind, payload, [state, complete](Result<> result) mutable {
      std::unique_lock lock(state->mutex);
      state->acknowledged = true;
      state->result = std::move(result);
      if (!state->position) return;
      auto position = *state->position;
      auto error = std::move(state->result);
      lock.unlock();
      error ? complete(Outcome(position)) : complete(Outcome(std::unexpected(std::move(error.error()))));
    });
    if (!outcome) return complete(Outcome(std::unexpected(std::move(outcome.error()))));
    std::unique_lock lock(state->mutex);
    state->position = *outcome;
    if (!state->acknowledged) return;
    auto result = std::move(state->result);
    lock.unlock();
    result ? complete(Outcome(*outcome)) : complete(Outcome(std::unexpected(std::move(result.error()))));
  });
}

Result<SyncMode> parse_sync_mode(std::string_view text) {
  if (text == "batch") return SyncMode::batch;
  if (text == "interval") return SyncMode::interval;
  if (text == "off") return SyncMode::off;
  return fail(ErrorKind::bad_input, fmt::format("wal mode \"{}\" is not one of batch, interval, off", text));
}

namespace {

class LocalJournal final : public Journal {
 public:
  explicit LocalJournal(LocalOptions options) : options_(std::move(options)) {}

  Result<std::unique_ptr<Partition>> open_partition(std::uint32_t index) override {
    return LocalPartition::open(options_, fmt::format("{}/{}", options_.dir, index));
  }

 private:
  LocalOptions options_;
};

}  // namespace

Result<std::unique_ptr<Journal>> open_local_journal(LocalOptions options) {
  std::error_code error;
  std::filesystem::create_directories(options.dir, error);
  if (error) return std::unexpected(error_from_errno("create " + options.dir, error.value()));
  options.batch_delay = std::clamp(options.batch_delay, std::chrono::milliseconds(0), std::chrono::milliseconds(20));
  return std::make_unique<LocalJournal>(std::move(options));
}

}  // namespace tocayo::journal
