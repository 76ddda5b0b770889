// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <map>

#include "logs/segment/segment_impl.h"

namespace tocayo::logs {

namespace {

std::string_view name_of(format::ColumnType type) {
  switch (type) {
    case format::ColumnType::constant: return "constant";
    case format::ColumnType::integer: return "integer";
    case format::ColumnType::fixed: return "fixed-width integer";
    case format::ColumnType::decimal: return "decimal";
    case format::ColumnType::hex_lower:
    case format::ColumnType::hex_upper: return "hexadecimal";
    case format::ColumnType::uuid: return "uuid";
    case format::ColumnType::ipv4: return "ipv4";
    case format::ColumnType::time: return "time text";
    case format::ColumnType::dictionary: return "dictionary ids";
    case format::ColumnType::raw:
    case format::ColumnType::counted: return "raw";
    case format::ColumnType::epoch:
    case format::ColumnType::epoch_decimal: return "epoch";
    case format::ColumnType::wide: return "wide integer";
  }
  return "unknown";
}

// Sums up what columns cost.
class Costs {
 public:
  std::uint64_t add(const GroupView& view, const format::Column& column, const std::string& name,
                    std::uint64_t values) {
    auto& part = parts_[name];
    ++part.columns;
    part.values += values;
    if (column.block == format::kNoBlock) return 0;
    const auto& block = view.blocks[column.block];
    const auto share = block.raw == 0 ? 0 : static_cast<std::uint64_t>(column.size) * block.stored / block.raw;
    part.raw_bytes += column.size;
    part.file_bytes += share;
    return share;
  }
  void add_part(const std::string& name, std::uint64_t raw, std::uint64_t stored) {
    parts_[name].raw_bytes += raw;
    parts_[name].file_bytes += stored;
  }
  std::vector<SegmentReport::Part> take() {
    std::vector<SegmentReport::Part> out;
    for (auto& [name, part] : parts_) {
      part.name = name;
      out.push_back(std::move(part));
    }
    std::ranges::sort(out, std::greater<>(), &SegmentReport::Part::file_bytes);
    return out;
  }

 private:
  std::map<std::string, SegmentReport::Part> parts_;
};

}  // namespace

Result<SegmentReport> SegmentReader::report(std::size_t worst) const {
  SegmentReport out;
  out.info = impl_->info;
  out.templates = impl_->shapes.size();
  out.dictionary_values = impl_->dictionary->size();
  Costs costs;
  std::vector<SegmentReport::Template> templates(impl_->shapes.size());
  for (std::uint32_t group = 0; group < impl_->groups.size(); ++group) {
    const auto& view = *TRY(impl_->view(group));
    const auto& head = *view.head;
    for (const auto& entry : view.templates) {
      auto& of_template = templates[entry.id];
      of_template.rows += entry.rows;
      const auto slots = impl_->shapes[entry.id].slots.size();
      for (std::size_t i = 0; i < slots; ++i) {
        const auto& column = view.columns[entry.column + i];
        of_template.file_bytes += costs.add(view, column, "slots: " + std::string(name_of(column.type)), entry.rows);
      }
      of_template.file_bytes += costs.add(view, view.columns[entry.column + slots], "lengths of lines", entry.rows);
    }
    costs.add(view, view.columns[head.times], "times", head.rows);
    costs.add(view, view.columns[head.template_ids], "templates of rows", head.rows);
    out.text_rows += head.text_rows;
    if (head.text_rows != 0) {
      costs.add(view, view.columns[head.text_lengths], "whole lines", 0);
      const auto pages = (head.text_rows + format::kTextPageRows - 1) / format::kTextPageRows;
      for (std::uint32_t i = 0; i < pages; ++i)
        costs.add(view, view.columns[head.text_pages + i], "whole lines",
                  std::min(head.text_rows - i * format::kTextPageRows, format::kTextPageRows));
    }
    for (const auto& key : view.keys) {
      const auto& column = view.columns[key.column];
      costs.add(view, column, "metadata: " + std::string(name_of(column.type)), key.rows);
      if (key.presence != format::kNoBlock) costs.add(view, view.columns[key.presence], "metadata: presence", 0);
    }
    const auto size = impl_->places[group]->part.size();
    const auto filters = view.token_filter.size() + view.gram_filter.size();
    costs.add_part("index: filter of values", view.token_filter.size(), view.token_filter.size());
    costs.add_part("index: filter of four-byte runs", view.gram_filter.size(), view.gram_filter.size());
    costs.add_part("index: records", size - filters, size - filters);
  }
  const auto& footer = impl_->footer;
  costs.add_part("templates", impl_->templates.size(), footer.templates_size);
  costs.add_part("dictionary", 0, footer.dictionary_size);
  costs.add_part("streams", 0, footer.streams_size);
  out.parts = costs.take();
  std::vector<std::size_t> order(templates.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, std::greater<>(), [&](std::size_t i) { return templates[i].file_bytes; });
  if (order.size() > worst) order.resize(worst);
  for (auto i : order) {
    templates[i].pattern = impl_->shapes[i].pattern();
    out.worst_templates.push_back(std::move(templates[i]));
  }
  return out;
}

std::string to_text(const SegmentReport& report) {
  const auto& info = report.info;
  auto share = [&](std::uint64_t bytes) {
    return info.file_bytes == 0 ? 0.0 : 100.0 * static_cast<double>(bytes) / static_cast<double>(info.file_bytes);
  };
  std::string out = fmt::format(
      "rows {}, bytes of lines {}, of the file {} ({:.3f})\ntenant {}, level {}, streams {}, row groups {}, templates "
      "{}, "
      "dictionary values {}, rows without template {}\n\n",
      info.rows, info.raw_bytes, info.file_bytes,
      info.raw_bytes == 0 ? 0.0 : static_cast<double>(info.file_bytes) / static_cast<double>(info.raw_bytes),
      info.options.tenant, info.options.level, info.streams, info.groups, report.templates, report.dictionary_values,
      report.text_rows);
  out += fmt::format("{:<34}{:>9}{:>12}{:>13}{:>13}{:>7}\n", "part", "columns", "values", "before zstd", "in the file",
                     "%");
  for (const auto& part : report.parts) {
    out += fmt::format("{:<34}{:>9}{:>12}{:>13}{:>13}{:>7.1f}\n", part.name, part.columns, part.values, part.raw_bytes,
                       part.file_bytes, share(part.file_bytes));
  }
  out += fmt::format("\n{:>10}{:>13}{:>9}  {}\n", "rows", "in the file", "a row", "template");
  for (const auto& entry : report.worst_templates) {
    out += fmt::format("{:>10}{:>13}{:>9.2f}  ", entry.rows, entry.file_bytes,
                       entry.rows == 0 ? 0.0 : static_cast<double>(entry.file_bytes) / static_cast<double>(entry.rows));
    for (char c : entry.pattern.substr(0, 160)) out.push_back(static_cast<unsigned char>(c) < 0x20 ? ' ' : c);
    out.push_back('\n');
  }
  return out;
}

}  // namespace tocayo::logs
