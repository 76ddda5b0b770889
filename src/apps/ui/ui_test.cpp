// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "ui/assets.h"
#include "ui/live.h"
#include "ui/page.h"
#include "ui/search.h"
#include "ui/short_links.h"

namespace tocayo::ui {
namespace {

TEST(Search, BetterMatchesScoreHigher) {
  EXPECT_GT(match_score("up", "up"), match_score("up", "uptime"));
  EXPECT_GT(match_score("cpu", "cpu_total"), match_score("cpu", "node_cpu"));
  EXPECT_GT(match_score("cpu", "node_cpu"), match_score("pu", "node_cpu"));
  EXPECT_GT(match_score("ncs", "node_cpu_seconds"), 0);
  EXPECT_EQ(match_score("xyz", "node_cpu"), 0);
  EXPECT_GT(match_score("CPU", "node_cpu"), 0);
}

TEST(ShortLinks, OnlyAddressesOfThisPage) {
  EXPECT_TRUE(is_page_path("explore?panes=%7B%22a%22:1%7D"));
  EXPECT_TRUE(is_page_path(""));
  for (auto bad : {"//evil.example", "/\\evil", "https://evil.example", "javascript:alert(1)", "a\nb"}) {
    EXPECT_FALSE(is_page_path(bad)) << bad;
  }
}

TEST(Live, FrameLayout) {
  const std::uint32_t indices[] = {3, 1};
  const double values[] = {1, 2, 3, 4};
  std::string frame = encode_series_frame(7, 9, 1000, 250, 2, indices, values);
  ASSERT_EQ(frame.size(), 40U + 2 * 4 + 4 * 8);
  EXPECT_EQ(frame.substr(0, 8), std::string("\x01\x01\x00\x00\x07\x00\x00\x00", 8));
  EXPECT_EQ(frame.substr(8, 8), std::string("\x09\x00\x00\x00\x00\x00\x00\x00", 8));
  EXPECT_EQ(frame.substr(32, 16), std::string("\x02\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x01\x00\x00\x00", 16));
}

TEST(Page, PolicyAllowsNothingInline) {
  std::string policy = content_security_policy("abc");
  EXPECT_NE(policy.find("script-src 'self';"), std::string::npos);
  EXPECT_NE(policy.find("style-src 'self' 'nonce-abc'"), std::string::npos);
  EXPECT_EQ(policy.find("unsafe"), std::string::npos);
}

// A directory as the build of the page leaves it.
class Assets : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = std::filesystem::temp_directory_path() / ("tocayo_ui_test_" + std::to_string(::getpid()));
    std::filesystem::create_directories(dir_ / "assets");
    write("index.html", "<p id=boot>__BOOT_JSON__</p>");
    write("sw.js", "self.shell={}");
    write("secret.txt", "not of the page");
    write("assets/a-12345678.js", "1");
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  void write(const std::string& name, const std::string& text) { std::ofstream(dir_ / name) << text; }

  std::filesystem::path dir_;
};

TEST_F(Assets, WorkerAndManifestAreFilesPageAddressesAreNot) {
  EXPECT_TRUE(is_asset("sw.js", dir_));
  for (auto no : {"", "index.html", "explore", "secret.txt", "manifest.webmanifest", "icons/../secret.txt", "icons"}) {
    EXPECT_FALSE(is_asset(no, dir_)) << no;
  }
}

TEST_F(Assets, WorkerIsAskedAboutAtEachUse) {
  http::Request request;
  auto worker = serve_asset(request, "sw.js", dir_);
  EXPECT_EQ(worker.status, 200);
  EXPECT_EQ(worker.headers.get("Cache-Control"), "no-cache");
  EXPECT_EQ(worker.headers.get("Content-Type"), "text/javascript; charset=utf-8");
  EXPECT_EQ(serve_asset(request, "../sw.js", dir_).status, 404);
}

TEST_F(Assets, BootSaysWhatTheUserChose) {
  PageOptions options;
  options.web_dir = dir_;
  Viewer viewer{.id = 3, .login = "ana"};
  viewer.prefs.theme = "light";
  viewer.prefs.density = "cosy";
  viewer.prefs.week_start = 1;
  auto page = render_page(options, http::Request(), viewer);
  EXPECT_NE(page.body.find(R"("prefs":{"theme":"light","density":"cosy","weekStart":1})"), std::string::npos)
      << page.body;
  EXPECT_EQ(page.headers.get("Cache-Control"), "no-store");
}

}  // namespace
}  // namespace tocayo::ui
