// SPDX-License-Identifier: Apache-2.0
#include "agent/logs/line.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>

#include "template/go_format.h"
#include "template/go_time.h"

namespace tocayo::agent {

namespace {

// Go's 'f' with the fewest digits that read back: zeros after them, no exponent.
std::string number_text(double value) {
  if (std::fabs(value) < 1e15 || !std::isfinite(value)) return templates::format_float(value, 'f', -1);
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  const std::string_view text(buffer, static_cast<std::size_t>(end.ptr - buffer));  // -d.ddde+dd
  const auto e = text.find('e');
  std::size_t exponent = 0;
  std::from_chars(text.data() + e + 2, text.data() + text.size(), exponent);
  std::string out(text.substr(0, e));
  const auto dot = out.find('.');
  std::size_t behind = 0;
  if (dot != std::string::npos) {
    behind = out.size() - dot - 1;
    out.erase(dot, 1);
  }
  if (behind > exponent) return templates::format_float(value, 'f', -1);
  return out + std::string(exponent - behind, '0');
}

}  // namespace

std::optional<std::string> to_text(const FieldValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* truth = std::get_if<bool>(&value)) return *truth ? "true" : "false";
  if (const auto* number = std::get_if<double>(&value)) return number_text(*number);
  return std::nullopt;
}

void Fields::seed(std::shared_ptr<const Labels> labels) {
  if (items_.empty() && base_ == nullptr) {
    base_ = std::move(labels);
    return;
  }
  for (const Label& label : *labels) set(label.name, label.value);
}

const Fields::Item* Fields::item(std::string_view name) const {
  const auto found = std::ranges::find(items_, name, &Item::name);
  return found == items_.end() ? nullptr : &*found;
}

bool Fields::has(std::string_view name) const {
  if (const Item* found = item(name)) return !found->erased;
  return base_ != nullptr && base_->has(name);
}

std::optional<std::string_view> Fields::text(std::string_view name, std::string& scratch) const {
  if (const Item* found = item(name)) {
    if (found->erased) return std::nullopt;
    if (const auto* text = std::get_if<std::string>(&found->value)) return *text;
    auto made = to_text(found->value);
    if (!made) return std::nullopt;
    scratch = std::move(*made);
    return scratch;
  }
  if (base_ == nullptr) return std::nullopt;
  const auto value = base_->get(name);
  return value.empty() ? std::nullopt : std::optional(value);
}

std::optional<double> Fields::number(std::string_view name) const {
  if (const Item* found = item(name); found != nullptr && !found->erased) {
    if (const auto* number = std::get_if<double>(&found->value)) return *number;
    if (const auto* truth = std::get_if<bool>(&found->value)) return *truth ? 1 : 0;
  }
  std::string scratch;
  const auto found = text(name, scratch);
  if (!found) return std::nullopt;
  if (const auto number = templates::parse_float(*found)) return *number;
  if (const auto duration = templates::parse_duration_go(*found)) return static_cast<double>(*duration) / 1e9;
  return std::nullopt;
}

void Fields::set(std::string_view name, FieldValue value) {
  const auto found = std::ranges::find(items_, name, &Item::name);
  if (found != items_.end()) {
    found->value = std::move(value);
    found->erased = false;
  } else {
    items_.push_back({.name = std::string(name), .value = std::move(value)});
  }
}

void Fields::erase(std::string_view name) {
  set(name, {});
  std::ranges::find(items_, name, &Item::name)->erased = true;
}

void Fields::each(const std::function<void(std::string_view, std::string_view)>& visit) const {
  if (base_ != nullptr) {
    for (const Label& label : *base_) {
      if (item(label.name) == nullptr) visit(label.name, label.value);
    }
  }
  for (const Item& item : items_) {
    if (item.erased) continue;
    if (const auto* text = std::get_if<std::string>(&item.value)) {
      visit(item.name, *text);
    } else if (const auto made = to_text(item.value)) {
      visit(item.name, *made);
    }
  }
}

void LogLine::set_label(std::string_view name, std::string_view value) {
  if (labels->get(name) == value) return;
  auto changed = std::make_shared<Labels>(*labels);
  changed->set(name, value);
  labels = std::move(changed);
}

Labels without_hidden(const Labels& labels) {
  std::vector<Label> out;
  std::ranges::copy_if(labels, std::back_inserter(out),
                       [](const Label& label) { return !label.name.starts_with("__"); });
  return Labels::from_sorted(std::move(out));
}

}  // namespace tocayo::agent
