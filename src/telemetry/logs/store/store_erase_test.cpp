// SPDX-License-Identifier: Apache-2.0
// After a delete request is processed its lines are in no file; until then they stay hidden, whatever is lost.
#include <filesystem>
#include <fstream>
#include <iterator>

#include "logs/store/delete_files.h"
#include "logs/store/offline.h"
#include "logs/store/record.h"
#include "logs/store/store_test_support.h"

namespace tocayo::logs {
namespace {

using namespace testing;
using Texts = std::vector<std::string>;

const Labels kWeb{{"app", "web"}};
const std::string kNeedle = "Zq7vXk3NpRt9LmWs";

class StoreEraseTest : public StoreFixture {
 protected:
  void SetUp() override {
    // A request names a word; what must go stands elsewhere in the line, since the request itself is kept.
    options_.compile_delete = [](std::string_view, std::string_view query) -> Result<DeleteFilter> {
      DeleteFilter filter;
      filter.matchers.push_back(Matcher::equal("app", "web"));
      filter.row = [word = std::string(query)](const Labels&, const Row& row) {
        return row.line.find(word) != std::string_view::npos;
      };
      return filter;
    };
    StoreFixture::SetUp();
  }
  std::filesystem::path logs() const { return directory_.path() / "logs"; }

  // Files of the data directory that hold the text: as it is, in journal records, or in rows of a segment.
  Texts holders(const std::string& text) const {
    Texts found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_.path())) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      const std::string bytes{std::istreambuf_iterator<char>(file), {}};
      bool holds = bytes.find(text) != std::string::npos;
      if (entry.path().extension() == ".tseg") {
        auto read = read_segment(entry.path(), [&](const Labels&, const EntryRow& row) -> Result<> {
          holds = holds || row.line.find(text) != std::string_view::npos;
          return {};
        });
        EXPECT_TRUE(read);
      }
      if (holds) found.push_back(entry.path().string());
    }
    return found;
  }
  // The same of the journal, whose records are compressed; the store must not be open.
  bool journal_holds(const std::string& text) const {
    auto journal = journal::open_local_journal({.dir = (logs() / "wal").string()});
    EXPECT_TRUE(journal);
    auto partition = (*journal)->open_partition(0);
    EXPECT_TRUE(partition);
    bool holds = false;
    RecordReader reader;
    auto read = (*partition)->read((*partition)->first(), [&](const journal::Record& record) -> Result<> {
      TRY(reader.read(record.payload));
      for (const auto& stream : reader.streams()) {
        for (const RecordRow& row : stream.rows) holds = holds || row.line.find(text) != std::string_view::npos;
      }
      return {};
    });
    EXPECT_TRUE(read);
    return holds;
  }
  DeleteRequest::State state(const std::string& id) {
    for (const DeleteRequest& request : *store_->deletes("a")) {
      if (request.id == id) return request.state;
    }
    ADD_FAILURE() << "no request " << id;
    return DeleteRequest::State::received;
  }
  std::vector<Line> lines() const {
    std::vector<Line> out;
    for (int i = 0; i < 50; ++i) out.push_back({kWeb, kNow + i, "user=" + std::to_string(i % 5) + " visits", {}});
    out.push_back({kWeb, kNow + 25, "user=7 token=" + kNeedle, {}});
    return out;
  }
  void lose_catalogue() {
    store_.reset();
    database_.reset();
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
      if (entry.is_regular_file()) std::filesystem::remove(entry.path());
    }
    database_ = db::testing::open_database(directory_.path() / "test.db");
    options_.database = database_.get();
  }
};

TEST_F(StoreEraseTest, NoFileHoldsALineWhenItsRequestIsProcessed) {
  for (const bool written : {false, true}) {
    SCOPED_TRACE(written ? "from segments" : "from the head");
    append(lines());
    append({{kWeb, kNow, "of another tenant", {}}}, "b");  // keeps the journal from being trimmed
    if (written) {
      ASSERT_TRUE(store_->flush("a"));
      ASSERT_FALSE(holders(kNeedle).empty());
    } else {
      store_.reset();
      ASSERT_TRUE(journal_holds(kNeedle));
      open();
    }
    const std::string id = *store_->add_delete("a", "user=7", kNow - 1000, kNow + 1000);
    int rounds = 0;
    while (state(id) != DeleteRequest::State::processed) {
      ASSERT_LT(++rounds, 20);
      // Somebody writes all the time.
      append({{kWeb, kNow + 5000 + rounds, "goes on " + std::to_string(rounds), {}}}, rounds % 2 == 0 ? "a" : "b");
      store_->maintain();
    }
    EXPECT_EQ(holders(kNeedle), Texts());
    EXPECT_TRUE(std::filesystem::is_empty(logs() / "deletes"));
    store_.reset();
    EXPECT_FALSE(journal_holds(kNeedle));
    open();
    const auto left = texts();
    EXPECT_EQ(std::ranges::count_if(left, [](const auto& line) { return line.ends_with("visits"); }), 50);
  }
}

TEST_F(StoreEraseTest, AReaderThatHoldsAFileHoldsTheRequestOpen) {
  append(lines());
  ASSERT_TRUE(store_->flush());
  auto querier = store_->querier("a");
  const std::string id = *store_->add_delete("a", "user=7", kNow - 1000, kNow + 1000);
  for (int i = 0; i < 5; ++i) store_->maintain();
  EXPECT_NE(state(id), DeleteRequest::State::processed);
  EXPECT_EQ(read(everything()).size(), 50U);
  querier.reset();
  for (int i = 0; i < 3; ++i) store_->maintain();
  EXPECT_EQ(state(id), DeleteRequest::State::processed);
  EXPECT_EQ(holders(kNeedle), Texts());
}

TEST_F(StoreEraseTest, HiddenLinesStayHiddenWithoutTheCatalogue) {
  append(lines());
  ASSERT_TRUE(store_->flush());
  const std::string id = *store_->add_delete("a", "user=7", kNow - 1000, kNow + 1000);
  const std::string cancelled = *store_->add_delete("a", "user=3", kNow - 1000, kNow + 1000);
  ASSERT_TRUE(store_->cancel_delete("a", cancelled, false));
  lose_catalogue();
  ASSERT_TRUE(rebuild_catalogue({logs(), database_.get(), {}}));
  open();
  EXPECT_EQ(read(everything()).size(), 50U);
  ASSERT_EQ(store_->deletes("a")->size(), 1U);
  EXPECT_EQ((*store_->deletes("a"))[0].query, "user=7");
  for (int i = 0; i < 6; ++i) store_->maintain();
  EXPECT_EQ(state(id), DeleteRequest::State::processed);
  EXPECT_EQ(holders(kNeedle), Texts());
  // Also when nothing was in segments yet.
  append({{kWeb, kNow + 100, "user=7 again", {}}});
  ASSERT_TRUE(store_->add_delete("a", "user=7", kNow - 1000, kNow + 1000));
  store_.reset();
  open();
  EXPECT_EQ(read(everything()).size(), 50U);
}

TEST_F(StoreEraseTest, ADamagedRequestIsNamedAndOpensNothing) {
  append(lines());
  ASSERT_TRUE(store_->add_delete("a", "user=7", kNow - 1000, kNow + 1000));
  store_.reset();
  const auto file = std::filesystem::directory_iterator(logs() / "deletes")->path();
  std::filesystem::resize_file(file, 40);
  auto store = Store::open(options_);
  ASSERT_FALSE(store);
  EXPECT_NE(store.error().message.find(file.filename().string()), std::string::npos) << store.error().message;
}

TEST(DeleteFile, SaysWhatIsWrong) {
  TombstoneRecord record;
  record.sequence = 7;
  record.id = "deadbeef";
  record.tenant = "a";
  record.query = "{app=\"web\"} |= `x`";
  record.start = -5;
  record.end = INT64_MAX;
  record.created = 1'700'000'000'000;
  const std::string bytes = encode_delete_file(record);
  auto again = decode_delete_file(bytes);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(encode_delete_file(*again), bytes);
  EXPECT_EQ(again->end, record.end);
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) EXPECT_FALSE(decode_delete_file(bytes.substr(0, cut)));
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 4);
    EXPECT_FALSE(decode_delete_file(changed)) << at;
  }
  EXPECT_NE(decode_delete_file("TXEL\x01 and much more").error().message.find("not a file of this kind"),
            std::string::npos);
}

}  // namespace
}  // namespace tocayo::logs
