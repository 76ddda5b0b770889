// SPDX-License-Identifier: Apache-2.0
#include "logql/engine/fields.h"

#include <gtest/gtest.h>

#include <cmath>

#include "logql/engine/plain_store.h"

namespace tocayo::logql {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

void add(PlainStore& store, const Labels& stream, TimestampNs time, std::string_view line,
         std::vector<logs::LabelView> metadata = {}) {
  const logs::EntryRow row{time, line, metadata};
  store.add(stream, std::span(&row, 1));
}

const DetectedField* find(const std::vector<DetectedField>& fields, std::string_view label) {
  for (const DetectedField& field : fields) {
    if (field.label == label) return &field;
  }
  return nullptr;
}

FieldQuery everything() { return {R"({app="a"})", 0, 1'000 * kSecond, 100, 1'000}; }

TEST(LogqlFields, FindsTypesParsersAndPaths) {
  PlainStore store;
  const Labels stream{{"app", "a"}, {"level", "x"}};
  add(store, stream, kSecond, R"({"user":{"id":7,"the name":"ann"},"took":"5ms","ok":true,"level":"warn","f":1})",
      {{"trace", "t1"}});
  add(store, stream, 2 * kSecond, R"({"user":{"id":8},"took":"7.5ms","ok":false,"f":1.5})", {{"trace", "t2"}});
  add(store, stream, 3 * kSecond, "took=9ms size=5MB mixed=1");
  add(store, stream, 4 * kSecond, "mixed=one");
  auto fields = detect_fields(Engine(), store, everything());
  ASSERT_TRUE(fields) << fields.error().message;
  const auto expect = [&](std::string_view label, std::string_view type, std::uint64_t cardinality,
                          const std::vector<std::string>& parsers, const std::vector<std::string>& path) {
    const DetectedField* field = find(*fields, label);
    ASSERT_NE(field, nullptr) << label;
    EXPECT_EQ(field->type, type) << label;
    EXPECT_EQ(field->cardinality, cardinality) << label;
    EXPECT_EQ(field->parsers, parsers) << label;
    EXPECT_EQ(field->json_path, path) << label;
  };
  expect("user_id", "int", 2, {"json"}, {"user", "id"});
  expect("user_the_name", "string", 1, {"json"}, {"user", "the name"});
  expect("level_extracted", "string", 1, {"json"}, {"level"});
  expect("ok", "boolean", 2, {"json"}, {"ok"});
  expect("f", "float", 2, {"json"}, {"f"});
  expect("size", "bytes", 1, {"logfmt"}, {});
  expect("mixed", "string", 2, {"logfmt"}, {});
  expect("trace", "string", 2, {}, {});
  const DetectedField* took = find(*fields, "took");
  ASSERT_NE(took, nullptr);
  EXPECT_EQ(took->type, "duration");
  EXPECT_EQ(took->cardinality, 3U);
  EXPECT_EQ(took->parsers.size(), 2U);
  EXPECT_EQ(find(*fields, "app"), nullptr);
}

TEST(LogqlFields, GivesValuesOfOneField) {
  PlainStore store;
  for (int i = 0; i < 20; ++i) {
    add(store, {{"app", "a"}}, i * kSecond, "k=" + std::to_string(i % 4) + " s=\"1.5 MB\"", {{"t", std::to_string(i)}});
  }
  auto values = detect_field_values(Engine(), store, everything(), "k");
  ASSERT_TRUE(values);
  EXPECT_EQ(*values, (std::vector<std::string>{"0", "1", "2", "3"}));
  EXPECT_EQ(*detect_field_values(Engine(), store, everything(), "s"), std::vector<std::string>{"1.5MB"});
  FieldQuery few = everything();
  few.limit = 5;
  EXPECT_EQ(detect_field_values(Engine(), store, few, "t")->size(), 5U);
  few.query = "rate({app=\"a\"}[1m])";
  EXPECT_FALSE(detect_fields(Engine(), store, few));
}

TEST(LogqlFields, LeavesOutLabelsThatAreIds) {
  PlainStore store;
  for (int i = 0; i < 3; ++i) {
    add(store,
        {{"app", "a" + std::to_string(i)},
         {"number", std::to_string(i)},
         {"uuid", "123e4567-e89b-12d3-a456-42661417400" + std::to_string(i)},
         {"hash", "0123456789abcdef" + std::to_string(i)},
         {"pod", std::to_string(i)},
         {"some", i == 0 ? "7" : "x"}},
        kSecond, "x");
  }
  auto labels = detect_labels(store, {}, 0, 10 * kSecond);
  ASSERT_TRUE(labels);
  std::vector<std::pair<std::string, std::uint64_t>> got;
  for (const DetectedLabel& label : *labels) got.emplace_back(label.label, label.cardinality);
  EXPECT_EQ(got, (std::vector<std::pair<std::string, std::uint64_t>>{{"app", 3}, {"pod", 3}, {"some", 2}}));
  EXPECT_TRUE(detect_labels(store, {}, 5 * kSecond, 10 * kSecond)->empty());
}

TEST(LogqlFields, EstimatesManyValues) {
  DistinctCounter counter;
  for (int i = 0; i < 500; ++i) counter.add(std::to_string(i % 250));
  EXPECT_EQ(counter.estimate(), 250U);
  for (int goal : {1'000, 20'000, 300'000}) {
    for (int i = 0; i < goal; ++i) counter.add(std::to_string(i));
    EXPECT_NEAR(static_cast<double>(counter.estimate()), goal, goal * 0.04);
  }
}

}  // namespace
}  // namespace tocayo::logql
