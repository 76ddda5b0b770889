// SPDX-License-Identifier: Apache-2.0
#include "logs/api/bulk_decode.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <unordered_map>

#include "core/hash.h"
#include "core/text.h"
#include "logs/api/otlp.h"
#include "logs/api/params.h"

namespace tocayo::logs::api {

namespace {

namespace dom = simdjson::dom;

constexpr int kDeepest = 32;  // below it objects stay JSON text
constexpr std::size_t kLongestIndex = 255;
constexpr std::size_t kLongestTime = 64;
constexpr std::string_view kBadDocument = "document_parsing_exception";
constexpr std::string_view kBadRequest = "illegal_argument_exception";

bool all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// A number is milliseconds (Elasticsearch's epoch_millis), by its size micro- or nanoseconds; a text ISO 8601, UTC when
// it names no zone.
Result<TimestampNs> read_time(std::string_view text) {
  std::int64_t number = 0;
  const auto end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec == std::errc{} && (parsed.ptr == end || (*parsed.ptr == '.' && all_digits({parsed.ptr + 1, end})))) {
    const auto beyond = [number](std::int64_t bound) { return number > bound || number < -bound; };
    if (beyond(100'000'000'000'000'000)) return number;
    TimestampNs time = 0;
    if (!__builtin_mul_overflow(number, beyond(100'000'000'000'000) ? 1'000 : 1'000'000, &time)) return time;
    return fail(ErrorKind::bad_input, fmt::format("failed to parse date field [{}]", text));
  }
  if (text.size() > kLongestTime) return fail(ErrorKind::bad_input, "the date field is too long to be a date");
  std::string whole(text);
  if (whole.size() > 10 && whole[10] == ' ') whole[10] = 'T';
  if (whole.size() == 10) whole += "T00:00:00";
  if (const auto zone = whole.find_first_of("Zz+-", std::min<std::size_t>(10, whole.size()));
      zone == std::string::npos) {
    whole += 'Z';
  } else if (whole[zone] != 'Z' && whole.size() == zone + 5) {
    whole.insert(zone + 3, ":");  // +0100
  }
  if (auto time = parse_api_time(whole)) return *time;
  return fail(ErrorKind::bad_input, fmt::format("failed to parse date field [{}]", text));
}

struct Document {
  TimestampNs time = 0;
  std::string_view line;
  std::size_t first = 0;  // of the pairs
  std::size_t count = 0;
  std::size_t item = 0;
};

struct Group {
  Labels labels;
  std::vector<Document> documents;
};

// The first of several names that a document has.
struct Choice {
  explicit Choice(const std::vector<std::string>& of) : names(of), rank(of.size()) {}
  bool wants(std::string_view name, std::size_t& at) const {
    at = static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
    return at < names.size();
  }
  const std::vector<std::string>& names;
  std::size_t rank;
  std::string_view text;
};

class BulkReader {
 public:
  BulkReader(const BulkFields& fields, TimestampNs now, PushRows& rows) : fields_(fields), now_(now), rows_(rows) {}
  Result<std::vector<BulkItem>> read(std::string& body, std::string_view index);

 private:
  Result<BulkItem> read_action(std::string_view line, std::string_view index, std::size_t number);
  void read_document(std::string_view line, std::size_t at, BulkItem& item, std::size_t number);
  void flatten(std::string& path, dom::object object, int depth);
  void take(std::string& path, dom::element value, int depth);
  void put(std::string_view path, std::string_view text);
  Result<dom::object> parse(std::string_view line);
  std::string_view name_of(std::string_view path);
  void emit(std::vector<BulkItem>& items);

  const BulkFields& fields_;
  TimestampNs now_;
  PushRows& rows_;
  dom::parser parser_;
  std::unordered_map<std::string, std::string_view> names_;  // of labels, by path
  std::vector<LabelView> pairs_;
  std::unordered_map<std::string, std::size_t> group_of_;
  std::vector<Group> groups_;
  // Of the document at hand.
  std::vector<Label> labels_;
  std::optional<Choice> time_;
  std::optional<Choice> line_;
};

std::string_view BulkReader::name_of(std::string_view path) {
  auto [found, added] = names_.try_emplace(std::string(path));
  if (added) found->second = rows_.keep(label_name_of(path));
  return found->second;
}

void BulkReader::put(std::string_view path, std::string_view text) {
  if (text.empty() || path.empty()) return;
  if (std::find(fields_.stream.begin(), fields_.stream.end(), path) != fields_.stream.end()) {
    labels_.push_back({.name = std::string(name_of(path)), .value = std::string(text)});
    return;
  }
  if (path == "log.level") pairs_.push_back({"level", text});  // the name by which levels are found
  pairs_.push_back({name_of(path), text});
}

void BulkReader::take(std::string& path, dom::element value, int depth) {
  std::size_t at = 0;
  const bool time = time_->wants(path, at);
  const bool line = !time && line_->wants(path, at);
  std::string_view text;
  switch (value.type()) {
    case dom::element_type::NULL_VALUE: return;
    case dom::element_type::OBJECT:
      if (!time && !line && depth < kDeepest) return flatten(path, value.get_object().value_unsafe(), depth + 1);
      text = rows_.keep(simdjson::minify(value));
      break;
    case dom::element_type::ARRAY: text = rows_.keep(simdjson::minify(value)); break;
    case dom::element_type::STRING: text = rows_.keep(std::string(value.get_string().value_unsafe())); break;
    case dom::element_type::BOOL: text = value.get_bool().value_unsafe() ? "true" : "false"; break;
    case dom::element_type::INT64: text = rows_.keep(fmt::to_string(value.get_int64().value_unsafe())); break;
    case dom::element_type::UINT64: text = rows_.keep(fmt::to_string(value.get_uint64().value_unsafe())); break;
    case dom::element_type::DOUBLE: text = rows_.keep(fmt::format("{}", value.get_double().value_unsafe())); break;
  }
  if (!time && !line) return put(path, text);
  auto& choice = time ? *time_ : *line_;
  if (at >= choice.rank) return;
  choice.rank = at;
  choice.text = text;
}

void BulkReader::flatten(std::string& path, dom::object object, int depth) {
  const auto size = path.size();
  for (const auto& [key, value] : object) {
    if (size != 0) path += '.';
    path += key;
    take(path, value, depth);
    path.resize(size);
  }
}

Result<dom::object> BulkReader::parse(std::string_view line) {
  dom::object object;
  // The body is padded, and what follows a line is readable.
  if (auto error = parser_.parse(line.data(), line.size(), false).get_object().get(object))
    return fail(ErrorKind::bad_input, simdjson::error_message(error));
  return object;
}

Result<BulkItem> BulkReader::read_action(std::string_view line, std::string_view index, std::size_t number) {
  const auto wrong = [&](std::string_view what) {
    return fail(ErrorKind::bad_input, fmt::format("Malformed action/metadata line [{}], {}", number, what));
  };
  const auto object = parse(line);
  if (!object) return wrong(object.error().message);
  if (object->size() != 1) return wrong("expected an object with one action");
  const auto action = *object->begin();
  BulkItem item;
  for (const std::string_view known : {"index", "create", "update", "delete"}) {
    if (action.key == known) item.action = known;
  }
  if (item.action.empty())
    return wrong(fmt::format("expected [create], [index], [delete] or [update] but found [{}]", action.key));
  dom::object meta;
  if (action.value.get_object().get(meta)) return wrong("expected an object behind the action");
  item.index = index;
  for (const auto& [key, value] : meta) {
    std::string_view text;
    if (key != "_index" && key != "_id") continue;
    if (value.is_null()) continue;
    if (value.get_string().get(text)) return wrong(fmt::format("[{}] is no string", key));
    (key == "_id" ? item.id : item.index) = std::string(text.substr(0, 512));
  }
  if (item.index.empty() || item.index.size() > kLongestIndex) {
    item.status = 400;
    item.error_type = kBadRequest;
    item.error = fmt::format("line [{}]: the index is {}", number, item.index.empty() ? "missing" : "too long a name");
    item.index.resize(std::min(item.index.size(), kLongestIndex));
  } else if (item.action == "update" || item.action == "delete") {
    item.status = 400;
    item.error_type = kBadRequest;
    item.error = fmt::format("line [{}]: log lines can only be added; use create or index", number);
  }
  return item;
}

void BulkReader::read_document(std::string_view line, std::size_t at, BulkItem& item, std::size_t number) {
  const auto refuse = [&](std::string_view what) {
    item.status = 400;
    item.error_type = kBadDocument;
    item.error = fmt::format("line [{}]: {}", number, what);
  };
  const auto object = parse(line);
  if (!object) return refuse(object.error().message);
  labels_.clear();
  time_.emplace(fields_.time);
  line_.emplace(fields_.message);
  Document document;
  document.item = at;
  document.first = pairs_.size();
  std::string path;
  flatten(path, *object, 0);
  document.time = now_;
  if (!time_->text.empty()) {
    auto time = read_time(time_->text);
    if (!time) {
      pairs_.resize(document.first);
      return refuse(time.error().message);
    }
    document.time = *time;
  }
  if (line_->rank == fields_.message.size()) {
    // No message: the document is the line, and its members are read from there.
    pairs_.resize(document.first);
    document.line = line;
  } else {
    document.line = line_->text;
  }
  document.count = pairs_.size() - document.first;
  if (!fields_.only_stream || labels_.empty())
    labels_.push_back({.name = "index", .value = std::string(index_without_date(item.index))});
  Labels labels(std::move(labels_));
  auto key = labels.to_string(false);
  if (item.id.empty()) item.id = fmt::format("{:016x}{:08x}", hash64(line, hash64(key)), number & 0xffffffffU);
  const auto [found, added] = group_of_.try_emplace(std::move(key), groups_.size());
  if (added) groups_.push_back({std::move(labels), {}});
  groups_[found->second].documents.push_back(document);
}

// Stream by stream, as rows are kept.
void BulkReader::emit(std::vector<BulkItem>& items) {
  for (std::uint32_t g = 0; g < groups_.size(); ++g) {
    rows_.start_stream(std::move(groups_[g].labels));
    std::uint32_t entry = 0;
    for (const auto& document : groups_[g].documents) {
      items[document.item].stream = g;
      items[document.item].entry = entry++;
      for (const auto& pair : std::span(pairs_).subspan(document.first, document.count))
        rows_.add_metadata(pair.name, pair.value);
      rows_.add_entry(document.time, document.line);
    }
  }
}

Result<std::vector<BulkItem>> BulkReader::read(std::string& body, std::string_view index) {
  const auto size = body.size();
  body.resize(size + simdjson::SIMDJSON_PADDING);
  std::string_view rest(body.data(), size);
  std::vector<BulkItem> items;
  std::size_t number = 0;
  bool wants_document = false;
  while (!rest.empty()) {
    const auto end = rest.find('\n');
    const auto line = trim(rest.substr(0, end));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    ++number;
    if (line.empty()) continue;
    if (!wants_document) {
      items.push_back(TRY(read_action(line, index, number)));
      wants_document = items.back().action != "delete";
      continue;
    }
    wants_document = false;
    if (!items.back().error_type.empty()) continue;
    read_document(line, items.size() - 1, items.back(), number);
  }
  if (wants_document)
    return fail(ErrorKind::bad_input,
                fmt::format("the action in front of the end, line [{}], has no document", number));
  emit(items);
  return items;
}

}  // namespace

const std::vector<std::string>& default_bulk_stream_fields() {
  static const std::vector<std::string> fields = {
      "service.name",        "service.environment",      "host", "host.name", "container.name", "kubernetes.namespace",
      "kubernetes.pod.name", "kubernetes.container.name"};
  return fields;
}

std::string_view index_without_date(std::string_view index) {
  // -YYYY.MM.DD
  if (index.size() <= 11) return index;
  const auto date = index.substr(index.size() - 11);
  constexpr std::string_view kShape = "-0000.00.00";
  for (std::size_t i = 0; i < date.size(); ++i) {
    const bool digit = date[i] >= '0' && date[i] <= '9';
    if (kShape[i] == '0' ? !digit : date[i] != kShape[i]) return index;
  }
  return index.substr(0, index.size() - 11);
}

Result<std::vector<BulkItem>> decode_bulk(std::string& body, std::string_view index, const BulkFields& fields,
                                          TimestampNs now, PushRows& rows) {
  return BulkReader(fields, now, rows).read(body, index);
}

}  // namespace tocayo::logs::api
