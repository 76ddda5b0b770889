// SPDX-License-Identifier: Apache-2.0
#include "logs/segment/dictionary.h"

#include <algorithm>

#include "core/hash.h"
#include "logs/line_filter.h"
#include "logs/required_literals.h"
#include "logs/segment/bytes.h"
#include "logs/segment/int_page.h"
#include "logs/segment/parts.h"

namespace tocayo::logs {

Result<std::unique_ptr<Dictionary>> Dictionary::open(std::string_view part) {
  auto dictionary = std::make_unique<Dictionary>();
  ByteReader reader(part);
  ByteReader table(reader.bytes());
  while (table.ok() && !table.rest().empty()) {
    auto page = std::make_unique<Page>();
    page->first = static_cast<std::uint32_t>(dictionary->size_);
    const auto count = table.varint();
    const auto size = table.varint();
    page->hash = table.plain<std::uint64_t>();
    page->stored = reader.take(size);
    if (!table.ok() || !reader.ok() || count == 0 || count > (1U << 24) || dictionary->size_ + count > 0xFFFFFFFFU) {
      return fail(ErrorKind::bad_input, "dictionary damaged");
    }
    page->count = static_cast<std::uint32_t>(count);
    dictionary->size_ += count;
    dictionary->pages_.push_back(std::move(page));
  }
  if (!table.ok() || !reader.ok()) return fail(ErrorKind::bad_input, "dictionary damaged");
  return dictionary;
}

void Dictionary::Page::load() const {
  std::call_once(once, [this] {
    if (hash64(stored) != hash) return;
    auto content = decompress_part(stored, 64U << 20);
    if (!content) return;
    raw = std::move(*content);
    ByteReader reader(raw);
    const auto packed = reader.bytes();
    Numbers lengths;
    if (!reader.ok() || !decode_ints(packed, count, lengths)) return;
    text = reader.rest();
    std::uint64_t at = 0;
    for (auto length : lengths) {
      starts.push_back(static_cast<std::uint32_t>(at));
      if (length < 0 || static_cast<std::uint64_t>(length) >= text.size() - at) return;
      at += static_cast<std::uint64_t>(length) + 1;
    }
    starts.push_back(static_cast<std::uint32_t>(at));
    good = at == text.size();
  });
}

std::string_view Dictionary::at(std::uint32_t id) const {
  if (id >= size_) return {};
  auto after = std::ranges::upper_bound(pages_, id, {}, [](const auto& page) { return page->first; });
  const auto& page = **(after - 1);
  page.load();
  if (!page.good) return {};
  const auto i = id - page.first;
  return page.text.substr(page.starts[i], page.starts[i + 1] - page.starts[i] - 1);
}

std::vector<std::uint32_t> Dictionary::search(const SlotTest& test, bool fold) const {
  std::vector<std::uint32_t> ids;
  for (const auto& page : pages_) {
    page->load();
    if (!page->good) continue;
    for (std::size_t at = 0; at < page->text.size();) {
      const auto rest = page->text.substr(at);
      const auto found = fold ? find_folded(rest, test.text) : find_bytes(rest, test.text);
      if (found == std::string_view::npos) break;
      const auto place = static_cast<std::uint32_t>(at + found);
      const auto next = std::ranges::upper_bound(page->starts, place);
      const auto i = static_cast<std::uint32_t>(next - page->starts.begin()) - 1;
      const auto value = page->text.substr(page->starts[i], page->starts[i + 1] - page->starts[i] - 1);
      if (holds(test, value, fold)) {
        ids.push_back(page->first + i);
        if (test.op == SlotTest::Op::equals && !fold) return ids;  // every text is there once
      }
      at = page->starts[i + 1];
    }
  }
  return ids;
}

Result<> Dictionary::verify() const {
  for (const auto& page : pages_) {
    page->load();
    if (!page->good) return fail(ErrorKind::internal, "a page of the dictionary is damaged");
  }
  return {};
}

}  // namespace tocayo::logs
