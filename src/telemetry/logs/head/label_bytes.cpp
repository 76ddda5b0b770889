// SPDX-License-Identifier: Apache-2.0
#include "logs/head/label_bytes.h"

#include "core/hash.h"

namespace tocayo::logs {
namespace {

void put_text(std::string_view text, std::string& out) {
  put_varint(out, text.size());
  out += text;
}

}  // namespace

void encode_labels(const Labels& labels, std::string& out) {
  for (const Label& label : labels) {
    put_text(label.name, out);
    put_text(label.value, out);
  }
}

void encode_labels(std::span<const LabelView> labels, std::string& out) {
  for (const LabelView& label : labels) {
    put_text(label.name, out);
    put_text(label.value, out);
  }
}

Labels decode_labels(std::string_view bytes) {
  std::vector<Label> labels;
  LabelCursor cursor(bytes);
  for (LabelView pair; cursor.next(pair);) labels.push_back({std::string(pair.name), std::string(pair.value)});
  return Labels::from_sorted(std::move(labels));
}

std::string_view label_in(std::string_view bytes, std::string_view name) {
  LabelCursor cursor(bytes);
  for (LabelView pair; cursor.next(pair);) {
    if (pair.name == name) return pair.value;
    if (pair.name > name) break;
  }
  return {};
}

bool valid_label_bytes(std::string_view bytes) {
  LabelCursor cursor(bytes);
  std::string_view last;
  LabelView pair;
  bool first = true;
  while (!cursor.at_end()) {
    if (!cursor.next(pair) || pair.value.empty() || (!first && pair.name <= last)) return false;
    last = pair.name;
    first = false;
  }
  return true;
}

std::strong_ordering compare_labels(std::string_view a, std::string_view b) {
  LabelCursor left(a);
  LabelCursor right(b);
  LabelView l;
  LabelView r;
  for (;;) {
    const bool more_left = left.next(l);
    const bool more_right = right.next(r);
    if (!more_left || !more_right) return more_left <=> more_right;
    if (const auto order = l.name <=> r.name; order != 0) return order;
    if (const auto order = l.value <=> r.value; order != 0) return order;
  }
}

std::uint64_t group_hash(std::string_view label_bytes) {
  for (std::string_view name : {"service_name", "app", "job", "namespace", "container"}) {
    if (const std::string_view value = label_in(label_bytes, name); !value.empty()) return hash64(value, 1);
  }
  return hash64({}, 1);
}

}  // namespace tocayo::logs
