// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "blob/local_blob_store.h"

namespace tocayo::blob {
namespace {

namespace fs = std::filesystem;

class BlobTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "tocayo-blob-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    reopen();
  }
  void TearDown() override {
    store_.reset();
    fs::remove_all(root_);
  }
  void reopen() {
    store_.reset();
    auto opened = LocalBlobStore::open(root_ / "blobs", pool_);
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }
  Result<> put(std::string key, std::string bytes, PutMode mode = PutMode::replace) {
    return sync_wait(store_->put(std::move(key), std::move(bytes), mode));
  }
  std::vector<std::string> keys(std::string prefix, std::string after = {}, std::size_t limit = 1000) {
    auto page = sync_wait(store_->list(std::move(prefix), std::move(after), limit));
    EXPECT_TRUE(page);
    std::vector<std::string> out;
    for (auto& blob : page->blobs) out.push_back(blob.key);
    return out;
  }
  std::size_t temporary_files() {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(root_ / "blobs/tmp"), fs::directory_iterator{}));
  }

  Pool pool_{"blob", 3};
  fs::path root_;
  std::unique_ptr<BlobStore> store_;
};

TEST_F(BlobTest, KeepsWhatWasPutOverAReopen) {
  ASSERT_TRUE(put("anonymous/blocks/01H.tcb", std::string("a\0b", 3)));
  ASSERT_TRUE(put("anonymous/blocks/01H.tcb", "second"));
  ASSERT_TRUE(put("empty", ""));
  reopen();
  EXPECT_EQ(*sync_wait(store_->get("anonymous/blocks/01H.tcb")), "second");
  EXPECT_EQ(*sync_wait(store_->get("empty")), "");
  auto info = sync_wait(store_->stat("anonymous/blocks/01H.tcb"));
  ASSERT_TRUE(info);
  EXPECT_EQ(info->size, 6u);
  EXPECT_GT(info->modified_ms, 1'600'000'000'000);
  EXPECT_TRUE(fs::exists(*store_->local_path("anonymous/blocks/01H.tcb")));
}

TEST_F(BlobTest, ReadsRanges) {
  ASSERT_TRUE(put("k", "0123456789"));
  EXPECT_EQ(*sync_wait(store_->get_range("k", 3, 4)), "3456");
  EXPECT_EQ(*sync_wait(store_->get_range("k", 8, 100)), "89");
  EXPECT_EQ(*sync_wait(store_->get_range("k", 10, 1)), "");
  EXPECT_EQ(*sync_wait(store_->get_range("k", 0, UINT64_MAX)), "0123456789");
  EXPECT_EQ(sync_wait(store_->get_range("k", 11, 1)).error().kind, ErrorKind::bad_input);
  EXPECT_EQ(sync_wait(store_->get_range("none", 0, 1)).error().kind, ErrorKind::not_found);
}

TEST_F(BlobTest, ListsInKeyOrderWithPrefixAndPages) {
  for (const char* key : {"a/z", "a-b", "a.c", "a0", "b/c/d", "b/c-e", "b/ca/f", "c"}) ASSERT_TRUE(put(key, key));
  std::vector<std::string> all = {"a-b", "a.c", "a/z", "a0", "b/c-e", "b/c/d", "b/ca/f", "c"};
  EXPECT_EQ(keys(""), all);
  EXPECT_EQ(keys("b/c"), (std::vector<std::string>{"b/c-e", "b/c/d", "b/ca/f"}));
  EXPECT_EQ(keys("b/c/"), (std::vector<std::string>{"b/c/d"}));
  EXPECT_EQ(keys("nothing"), std::vector<std::string>{});
  EXPECT_EQ(keys("a/z"), (std::vector<std::string>{"a/z"}));
  for (std::size_t limit = 1; limit <= all.size() + 1; ++limit) {
    std::vector<std::string> seen;
    std::string after;
    do {
      auto page = sync_wait(store_->list("", after, limit));
      ASSERT_TRUE(page);
      EXPECT_LE(page->blobs.size(), limit);
      for (auto& blob : page->blobs) seen.push_back(blob.key);
      after = page->next;
    } while (!after.empty());
    EXPECT_EQ(seen, all) << "limit " << limit;
  }
  EXPECT_EQ(sync_wait(store_->list("", "", 0)).error().kind, ErrorKind::bad_input);
}

TEST_F(BlobTest, RefusesKeysThatCouldEscape) {
  for (std::string key :
       {std::string(""), std::string("/a"), std::string("a/"), std::string("a//b"), std::string(".."),
        std::string("a/../b"), std::string("./a"), std::string("a\\b"), std::string("a\0b", 3), std::string("a b"),
        std::string("ä"), std::string(201, 'x'), std::string(901, 'x'), std::string("%2e%2e/x")}) {
    EXPECT_EQ(put(key, "x").error().kind, ErrorKind::bad_input) << key;
    EXPECT_EQ(sync_wait(store_->get(key)).error().kind, ErrorKind::bad_input) << key;
    EXPECT_EQ(sync_wait(store_->remove(key)).error().kind, ErrorKind::bad_input) << key;
    EXPECT_FALSE(store_->local_path(key)) << key;
  }
  EXPECT_TRUE(put(".hidden/...", "tenant ids may start with dots"));
}

TEST_F(BlobTest, KeysMayNotContinueEachOther) {
  ASSERT_TRUE(put("a/b", "1"));
  EXPECT_EQ(put("a", "2").error().kind, ErrorKind::conflict);
  EXPECT_EQ(put("a", "2", PutMode::create_only).error().kind, ErrorKind::conflict);
  EXPECT_EQ(put("a/b/c", "3").error().kind, ErrorKind::conflict);
  EXPECT_EQ(put("a/b/c/d", "3").error().kind, ErrorKind::conflict);
  EXPECT_EQ(*sync_wait(store_->get("a/b")), "1");
  EXPECT_EQ(sync_wait(store_->get("a")).error().kind, ErrorKind::not_found);
  EXPECT_EQ(sync_wait(store_->stat("a")).error().kind, ErrorKind::not_found);
  EXPECT_EQ(temporary_files(), 0u);
}

TEST_F(BlobTest, CreateOnlyHasOneWinner) {
  std::atomic<int> winners{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      auto done = put("once", std::to_string(i), PutMode::create_only);
      if (done)
        ++winners;
      else
        EXPECT_EQ(done.error().kind, ErrorKind::conflict);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(winners, 1);
  EXPECT_EQ(temporary_files(), 0u);
}

TEST_F(BlobTest, PutFileTakesTheFile) {
  fs::path file = root_ / "sealed";
  std::ofstream(file) << "block";
  ASSERT_TRUE(sync_wait(store_->put_file("t/block", file)));
  EXPECT_FALSE(fs::exists(file));
  EXPECT_EQ(*sync_wait(store_->get("t/block")), "block");
  std::ofstream(file) << "other";
  EXPECT_EQ(sync_wait(store_->put_file("t/block", file, PutMode::create_only)).error().kind, ErrorKind::conflict);
  EXPECT_TRUE(fs::exists(file));
  EXPECT_EQ(sync_wait(store_->put_file("t/x", root_ / "missing")).error().kind, ErrorKind::not_found);
  EXPECT_EQ(sync_wait(store_->put_file("t/x", root_)).error().kind, ErrorKind::bad_input);
}

TEST_F(BlobTest, PutFileFromAnotherFileSystem) {
  fs::path shm = "/dev/shm";
  std::error_code ignored;
  if (!fs::exists(shm, ignored)) GTEST_SKIP() << "no second file system";
  fs::path file = shm / ("tocayo-blob-" + std::to_string(::getpid()));
  std::ofstream(file) << std::string(3 << 20, 'x');
  ASSERT_TRUE(sync_wait(store_->put_file("big", file)));
  EXPECT_FALSE(fs::exists(file));
  EXPECT_EQ(sync_wait(store_->stat("big"))->size, 3u << 20);
}

TEST_F(BlobTest, RemoveIsIdempotentAndCleansDirectories) {
  ASSERT_TRUE(put("x/y/z", "1"));
  ASSERT_TRUE(put("x/w", "2"));
  EXPECT_TRUE(sync_wait(store_->remove("x/y/z")));
  EXPECT_TRUE(sync_wait(store_->remove("x/y/z")));
  EXPECT_TRUE(sync_wait(store_->remove("x")));  // a directory is not an object
  EXPECT_EQ(keys(""), (std::vector<std::string>{"x/w"}));
  EXPECT_FALSE(fs::exists(root_ / "blobs/objects/x/y"));
}

TEST_F(BlobTest, PutsAndRemovesOfSiblingsDoNotLoseObjects) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      std::string key = "d/e/" + std::to_string(i);
      for (int round = 0; round < 30; ++round) {
        ASSERT_TRUE(put(key, key));
        ASSERT_EQ(*sync_wait(store_->get(key)), key);
        ASSERT_TRUE(sync_wait(store_->remove(key)));
      }
      ASSERT_TRUE(put(key, key));
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(keys("d/").size(), 4u);
}

TEST_F(BlobTest, ReadersSeeWholeObjectsOnly) {
  std::string a(200'000, 'a'), b(150'000, 'b');
  ASSERT_TRUE(put("k", a));
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int i = 0; i < 40; ++i) EXPECT_TRUE(put("k", i % 2 ? a : b));
    stop = true;
  });
  while (!stop) {
    auto got = sync_wait(store_->get("k"));
    ASSERT_TRUE(got);
    ASSERT_TRUE(*got == a || *got == b);
  }
  writer.join();
}

TEST_F(BlobTest, SecondOpenerIsRefused) {
  auto second = LocalBlobStore::open(root_ / "blobs", pool_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::unavailable);
}

TEST_F(BlobTest, OpenDropsWhatACrashLeftInTmp) {
  std::ofstream(root_ / "blobs/tmp/7") << "half";
  reopen();
  EXPECT_EQ(temporary_files(), 0u);
}

// A write that the kernel cuts off (as on a full disk) leaves the former object and no temporary file.
TEST_F(BlobTest, FailedWriteKeepsTheFormerObject) {
  ASSERT_TRUE(put("k", "former"));
  store_.reset();
  pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    rlimit limit{100'000, 100'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    Pool pool("child", 1);
    auto store = LocalBlobStore::open(root_ / "blobs", pool);
    if (!store) ::_exit(10);
    if (sync_wait((*store)->put("k", std::string(1'000'000, 'x'), PutMode::replace))) ::_exit(11);
    if (*sync_wait((*store)->get("k")) != "former") ::_exit(12);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(temporary_files(), 0u);
}

// kill -9 while objects are being replaced: every object is whole, and the store opens again.
TEST_F(BlobTest, KilledWriterLeavesWholeObjects) {
  store_.reset();
  for (int round = 0; round < 5; ++round) {
    int pipe_fds[2];
    ASSERT_EQ(::pipe(pipe_fds), 0);
    pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      Pool pool("child", 1);
      auto store = LocalBlobStore::open(root_ / "blobs", pool);
      if (!store) ::_exit(10);
      for (int i = 0;; ++i) {
        char c = static_cast<char>('a' + i % 26);
        if (!sync_wait((*store)->put("k" + std::to_string(i % 3), std::string(300'000, c), PutMode::replace)))
          ::_exit(11);
        if (::write(pipe_fds[1], &c, 1) != 1) ::_exit(12);
      }
    }
    ::close(pipe_fds[1]);
    char c;
    for (int i = 0; i < 5 + round; ++i) ASSERT_EQ(::read(pipe_fds[0], &c, 1), 1);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ::close(pipe_fds[0]);
    reopen();
    EXPECT_EQ(temporary_files(), 0u);
    for (auto& key : keys("")) {
      auto bytes = sync_wait(store_->get(key));
      ASSERT_TRUE(bytes);
      ASSERT_EQ(bytes->size(), 300'000u);
      EXPECT_EQ(bytes->find_first_not_of(bytes->front()), std::string::npos);
    }
    store_.reset();
  }
}

}  // namespace
}  // namespace tocayo::blob
