// SPDX-License-Identifier: Apache-2.0
// Live panels ask like everybody else: in the queue of their tenant's queries, on the threads of queries, and never
// twice at once.
#include "ui/live.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <boost/json.hpp>
#include <cstring>
#include <deque>

#include "metrics/api/limited_querier.h"
#include "promql/test_storage.h"

namespace tocayo::ui {
namespace {

using namespace std::chrono_literals;
using metrics::api::QueryLimits;

constexpr TimestampMs kStart = 1'795'500'000'000;
constexpr TimestampMs kStep = 1000;

bool wait_for(const std::function<bool()>& condition) {
  const auto until = std::chrono::steady_clock::now() + 20s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

class SetClock final : public Clock {
 public:
  TimestampMs now_ms() const override { return now; }
  std::atomic<TimestampMs> now{kStart};
};

// `up` with one series of 1 at any time; counts and may hold up who selects.
class OneSeries final : public promql::testing::NamelessQuerier {
  class Set final : public metrics::SeriesSet {
   public:
    explicit Set(metrics::SelectHints hints) : hints_(std::move(hints)) {}
    std::size_t size() const override { return 1; }
    const Labels& labels(std::size_t) const override { return labels_; }
    Result<> read(std::size_t, metrics::SampleColumns& out) const override {
      out.clear();
      for (TimestampMs time = hints_.start; time <= hints_.end; time += 100) {
        out.times.push_back(time);
        out.values.push_back(1);
      }
      return {};
    }

   private:
    metrics::SelectHints hints_;
    Labels labels_{{"__name__", "up"}};
  };

 public:
  Result<std::unique_ptr<metrics::SeriesSet>> select(std::span<const Matcher>, const metrics::SelectHints& hints,
                                                     const Context& context) const override {
    char name[16] = {};
    pthread_getname_np(pthread_self(), name, sizeof name);
    if (std::string_view(name) != "live-queries") ++elsewhere;
    std::size_t now = ++inside, seen = most_inside;
    while (seen < now && !most_inside.compare_exchange_weak(seen, now)) {
    }
    ++selections;
    while (held && context.check()) std::this_thread::sleep_for(1ms);
    --inside;
    return std::make_unique<Set>(hints);
  }
  mutable std::atomic<std::size_t> selections{0}, elsewhere{0}, inside{0}, most_inside{0};
  std::atomic<bool> held{false};
};

class FakeSocket final : public http::WebSocket {
 public:
  explicit FakeSocket(Pool& pool) : pool_(pool) {}

  struct Frame {
    std::uint32_t sub, steps;
    std::uint64_t seq;
    TimestampMs start;
  };

  Task<Result<Message>> receive() override {
    co_return co_await completion<Result<Message>>([this](auto complete) {
      std::unique_lock lock(mutex_);
      if (!closed_ && incoming_.empty()) {
        waiting_ = complete;
        return;
      }
      Result<Message> next = fail(ErrorKind::canceled, "closed");
      if (!incoming_.empty()) {
        next = std::move(incoming_.front());
        incoming_.pop_front();
      }
      lock.unlock();
      complete(std::move(next));
    });
  }
  Task<Result<>> send(Message message) override {
    post(std::move(message));
    co_return Result<>{};
  }
  std::size_t post(Message message) override {
    std::lock_guard lock(mutex_);
    if (!message.binary) {
      texts_.push_back(std::move(message.data));
      return 0;
    }
    Frame frame{};
    std::memcpy(&frame.sub, message.data.data() + 4, 4);
    std::memcpy(&frame.seq, message.data.data() + 8, 8);
    std::memcpy(&frame.start, message.data.data() + 16, 8);
    std::memcpy(&frame.steps, message.data.data() + 32, 4);
    frames_.push_back(frame);
    return 0;
  }
  std::size_t queued_bytes() const override { return 0; }
  void close(unsigned short, std::string) override { end(); }
  std::string_view subprotocol() const override { return "tocayo.live.v1"; }

  void say(std::string text) {
    std::unique_lock lock(mutex_);
    if (!waiting_) {
      incoming_.push_back({std::move(text), false});
      return;
    }
    auto complete = std::exchange(waiting_, nullptr);
    lock.unlock();
    complete(Message{std::move(text), false});
  }
  void end() {
    std::unique_lock lock(mutex_);
    closed_ = true;
    auto complete = std::exchange(waiting_, nullptr);
    lock.unlock();
    if (complete) pool_.post([complete] { complete(fail(ErrorKind::canceled, "closed")); });
  }
  std::size_t said(std::string_view op) const {
    std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(std::ranges::count_if(
        texts_, [&](const std::string& text) { return boost::json::parse(text).at("op").as_string() == op; }));
  }
  std::vector<Frame> frames() const {
    std::lock_guard lock(mutex_);
    return frames_;
  }

 private:
  Pool& pool_;
  mutable std::mutex mutex_;
  std::deque<Message> incoming_;
  std::function<void(Result<Message>)> waiting_;
  bool closed_ = false;
  std::vector<std::string> texts_;
  std::vector<Frame> frames_;
};

class LiveTest : public ::testing::Test {
 protected:
  explicit LiveTest(std::size_t slots = 1, std::size_t queue = 8) : gate(slots, queue, queries) {}
  ~LiveTest() override { stop(); }

  void begin(std::size_t max_standing = 16) {
    hub.emplace(LiveDependencies{
        .reads = reads,
        .compute = compute,
        .enter = [this](std::string tenant, Context context) { return enter(std::move(tenant), std::move(context)); },
        .clock = clock,
        .max_standing = max_standing});
    begun = true;
    request.identity.tenant = "a";
    spawn(hub->serve(request, socket), [this] { served = true; });
  }
  void stop() {
    held = {};
    hub.reset();
    socket.end();
    if (begun) EXPECT_TRUE(wait_for([&] { return served.load(); })) << "a socket is not let go";
  }
  Task<Result<FairGate::Permit>> enter(std::string tenant, Context context) {
    auto permit = co_await gate.acquire(std::move(tenant), std::move(context));
    if (permit) co_await queries.schedule();
    co_return permit;
  }
  // Somebody else's query takes the (only) slot.
  void take_slot() {
    auto permit = sync_wait(gate.acquire("b", {}));
    ASSERT_TRUE(permit);
    held = std::move(*permit);
  }
  void subscribe(int id) {
    socket.say(R"({"op":"sub","id":)" + std::to_string(id) + R"(,"kind":"series","args":{"expr":"up + )" +
               std::to_string(id) + R"(","step":1000}})");
  }
  std::uint32_t steps_of(std::uint32_t sub) const {
    std::uint32_t steps = 0;
    for (const auto& frame : socket.frames()) steps += frame.sub == sub ? frame.steps : 0;
    return steps;
  }
  Result<metrics::api::Reading> admit(std::string_view tenant, const Context& context) {
    metrics::api::Reading reading;
    reading.limits = limits;
    reading.query = TRY(guard.admit(std::string(tenant), limits->fetch, context));
    reading.querier = metrics::api::limit_querier(store, {}, reading.query->meter());
    return reading;
  }

  SetClock clock;
  Pool queries{"live-queries", 2}, compute{"live-compute", 1};
  FairGate gate;
  FairGate::Permit held;
  Registry registry;
  metrics::api::MemoryGuard guard{{}, registry};
  std::shared_ptr<const QueryLimits> limits = std::make_shared<const QueryLimits>();  // shared: as a tenant's own
  promql::Engine engine;
  std::shared_ptr<OneSeries> store = std::make_shared<OneSeries>();  // shared: as the store's own
  Reads reads{{engine, [this](std::string_view) { return limits; },
               [this](std::string_view tenant, const Context& context) { return admit(tenant, context); }, &queries}};
  http::Request request;
  FakeSocket socket{compute};
  std::atomic<bool> served{false};
  bool begun = false;
  std::optional<LiveHub> hub;
};

TEST_F(LiveTest, WaitsForItsTurnAndNeverStandsTwice) {
  begin();
  subscribe(1);
  ASSERT_TRUE(wait_for([&] { return socket.said("ok") == 1; }));
  clock.now += kStep;
  ASSERT_TRUE(wait_for([&] { return steps_of(1) == 1; }));
  take_slot();
  const std::size_t before = store->selections;
  for (int i = 0; i < 10; ++i) {
    clock.now += kStep;
    ASSERT_TRUE(wait_for([&] { return gate.waiting() == 1; })) << "not in the queue of queries";
    std::this_thread::sleep_for(5ms);
    EXPECT_EQ(gate.waiting(), 1U) << "refreshes of one panel are stacked";
  }
  EXPECT_EQ(store->selections, before) << "evaluated without its turn";
  held = {};
  ASSERT_TRUE(wait_for([&] { return steps_of(1) == 11; })) << steps_of(1) << " steps";
  EXPECT_LE(store->selections, before + 2) << "what came late is not evaluated together";
  EXPECT_EQ(store->elsewhere, 0U) << "not on the threads of queries";
}

TEST_F(LiveTest, ASlowEvaluationIsNotOvertaken) {
  begin();
  subscribe(1);
  ASSERT_TRUE(wait_for([&] { return socket.said("ok") == 1; }));
  store->held = true;
  const std::size_t before = store->selections;
  clock.now += kStep;
  ASSERT_TRUE(wait_for([&] { return store->selections == before + 1; }));
  for (int i = 0; i < 5; ++i) {
    clock.now += kStep;
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_EQ(gate.waiting(), 0U);
  EXPECT_EQ(gate.running(), 1U);
  store->held = false;
  ASSERT_TRUE(wait_for([&] { return steps_of(1) == 6; }));
  EXPECT_EQ(store->most_inside, 1U);
  const auto frames = socket.frames();
  for (std::size_t i = 1; i < frames.size(); ++i) {
    EXPECT_EQ(frames[i].start, frames[i - 1].start + frames[i - 1].steps * kStep) << "a step is missing or twice";
    EXPECT_EQ(frames[i].seq, frames[i - 1].seq + 1);
  }
}

class LiveQueueless : public LiveTest {
 protected:
  LiveQueueless() : LiveTest(1, 0) {}
};

TEST_F(LiveQueueless, AFullQueuePutsItOff) {
  Counter& skipped = Registry::global().counter("tocayo_live_evaluations_skipped_total", "");
  begin();
  subscribe(1);
  ASSERT_TRUE(wait_for([&] { return socket.said("ok") == 1; }));
  take_slot();
  const double before = skipped.value();
  clock.now += kStep;
  ASSERT_TRUE(wait_for([&] { return skipped.value() == before + 1; }));
  std::this_thread::sleep_for(300ms);  // longer than the hub sleeps
  EXPECT_EQ(skipped.value(), before + 1) << "it asks again before its time";
  clock.now += kStep;
  ASSERT_TRUE(wait_for([&] { return skipped.value() >= before + 2; })) << "it does not ask again";
  held = {};
  clock.now += kStep;
  ASSERT_TRUE(wait_for([&] { return steps_of(1) == 3; })) << "steps are lost";
  EXPECT_EQ(socket.said("err"), 0U);
}

TEST_F(LiveTest, LeavesRoomInTheQueue) {
  take_slot();
  begin(2);
  for (int id = 1; id <= 6; ++id) subscribe(id);
  ASSERT_TRUE(wait_for([&] { return gate.waiting() == 2; }));
  std::this_thread::sleep_for(300ms);
  EXPECT_EQ(gate.waiting(), 2U);
  held = {};
  ASSERT_TRUE(wait_for([&] { return socket.said("ok") == 6; })) << "some never had their turn";
  clock.now += kStep;
  for (std::uint32_t id = 1; id <= 6; ++id) EXPECT_TRUE(wait_for([&] { return steps_of(id) == 1; })) << id;
}

TEST_F(LiveTest, StoppingEndsWhatWaitsAndWhatRuns) {
  begin();
  subscribe(1);
  ASSERT_TRUE(wait_for([&] { return socket.said("ok") == 1; }));
  store->held = true;
  clock.now += kStep;
  ASSERT_TRUE(wait_for([&] { return store->inside == 1; }));
  subscribe(2);
  ASSERT_TRUE(wait_for([&] { return gate.waiting() == 1; }));
  hub.reset();  // would wait for ever
  EXPECT_EQ(gate.running(), 0U);
  EXPECT_EQ(gate.waiting(), 0U);
  EXPECT_EQ(socket.said("bye"), 1U);
}

}  // namespace
}  // namespace tocayo::ui
