// SPDX-License-Identifier: Apache-2.0
#include "logs/api/multi_tenant.h"

#include <algorithm>

#include "core/text.h"

namespace tocayo::logs::api {

namespace {

constexpr std::string_view kOriginal = "original___tenant_id__";

struct Part {
  std::string id;
  std::shared_ptr<const Querier> querier;
};

Labels shown(const Labels& labels, const std::string& id) {
  Labels out = labels;
  if (const auto own = labels.get(kTenantLabel); !own.empty()) out.set(kOriginal, own);
  out.set(kTenantLabel, id);
  return out;
}

// Whether the tenant is among those the matchers mean; `rest` are the matchers for its own streams.
bool chosen(std::span<const Matcher> matchers, const std::string& id, std::vector<Matcher>& rest) {
  rest.clear();
  for (const auto& matcher : matchers) {
    if (matcher.name() == kTenantLabel) {
      if (!matcher.matches(id)) return false;
    } else if (matcher.name() == kOriginal) {
      auto own = Matcher::create(matcher.type(), std::string(kTenantLabel), matcher.value());
      if (own) rest.push_back(std::move(*own));
    } else {
      rest.push_back(matcher);
    }
  }
  return true;
}

class UnionScan final : public Scan {
 public:
  void add(const std::string& id, std::unique_ptr<Scan> scan) {
    const auto first = static_cast<std::uint32_t>(streams_.size());
    for (const auto& labels : scan->streams()) streams_.push_back(shown(labels, id));
    for (std::size_t i = 0; i < scan->morsels().size(); ++i) {
      morsels_.push_back(scan->morsels()[i]);
      places_.push_back({.scan = scans_.size(), .morsel = i, .first_stream = first});
    }
    scans_.push_back(std::move(scan));
  }
  std::span<const Labels> streams() const override { return streams_; }
  std::span<const Morsel> morsels() const override { return morsels_; }
  Result<> scan(std::size_t morsel, TimestampNs start, TimestampNs end, const Context& context, const Visitor& visit,
                ScanStats& stats) const override {
    const auto& place = places_[morsel];
    std::vector<Row> moved;
    return scans_[place.scan]->scan(
        place.morsel, start, end, context,
        [&](std::span<const Row> rows) -> Result<bool> {
          moved.assign(rows.begin(), rows.end());
          for (auto& row : moved) row.stream += place.first_stream;
          return visit(moved);
        },
        stats);
  }
  ScanStats covered() const override {
    ScanStats all;
    for (const auto& scan : scans_) all.add(scan->covered());
    return all;
  }
  std::vector<std::string> warnings() const override {
    std::vector<std::string> all;
    for (const auto& scan : scans_) {
      for (auto& warning : scan->warnings()) all.push_back(std::move(warning));
    }
    return all;
  }

 private:
  struct Place {
    std::size_t scan;
    std::size_t morsel;
    std::uint32_t first_stream;
  };
  std::vector<std::unique_ptr<Scan>> scans_;
  std::vector<Labels> streams_;
  std::vector<Morsel> morsels_;
  std::vector<Place> places_;
};

class UnionQuerier final : public Querier {
 public:
  explicit UnionQuerier(std::vector<Part> parts) : parts_(std::move(parts)) {}

  Result<std::unique_ptr<Scan>> select(const Selection& selection, const Context& context) const override {
    auto scan = std::make_unique<UnionScan>();
    for (const auto& part : parts_) {
      Selection own = selection;
      if (!chosen(selection.matchers, part.id, own.matchers)) continue;
      scan->add(part.id, TRY(part.querier->select(own, context)));
    }
    return scan;
  }

  Result<std::vector<Labels>> series(std::span<const std::vector<Matcher>> sets, TimestampNs start, TimestampNs end,
                                     const Context& context) const override {
    std::vector<Labels> all;
    for (const auto& part : parts_) {
      std::vector<std::vector<Matcher>> own;
      if (!own_sets(sets, part.id, own)) continue;
      for (const auto& labels : TRY(part.querier->series(own, start, end, context)))
        all.push_back(shown(labels, part.id));
    }
    std::ranges::sort(all);
    return all;
  }

  Result<NameList> label_names(std::span<const std::vector<Matcher>> sets, TimestampNs start, TimestampNs end,
                               const Context& context) const override {
    NameList all;
    for (const auto& part : parts_) {
      std::vector<std::vector<Matcher>> own;
      if (!own_sets(sets, part.id, own)) continue;
      auto list = TRY(part.querier->label_names(own, start, end, context));
      all.truncated |= list.truncated;
      if (list.names.empty()) continue;
      for (auto& name : list.names)
        all.names.push_back(name == kTenantLabel ? std::string(kOriginal) : std::move(name));
      all.names.emplace_back(kTenantLabel);
    }
    settle(all);
    return all;
  }

  Result<NameList> label_values(const std::string& name, std::span<const std::vector<Matcher>> sets, TimestampNs start,
                                TimestampNs end, const Context& context) const override {
    NameList all;
    for (const auto& part : parts_) {
      std::vector<std::vector<Matcher>> own;
      if (!own_sets(sets, part.id, own)) continue;
      if (name == kTenantLabel) {
        if (!TRY(part.querier->label_names(own, start, end, context)).names.empty()) all.names.push_back(part.id);
        continue;
      }
      auto list = TRY(
          part.querier->label_values(name == kOriginal ? std::string(kTenantLabel) : name, own, start, end, context));
      all.truncated |= list.truncated;
      for (auto& value : list.names) all.names.push_back(std::move(value));
    }
    settle(all);
    return all;
  }

  Result<std::vector<StreamVolume>> volume(std::span<const Matcher> matchers, TimestampNs start, TimestampNs end,
                                           const Context& context) const override {
    std::vector<StreamVolume> all;
    std::vector<Matcher> own;
    for (const auto& part : parts_) {
      if (!chosen(matchers, part.id, own)) continue;
      for (auto& volume : TRY(part.querier->volume(own, start, end, context))) {
        volume.labels = shown(volume.labels, part.id);
        all.push_back(std::move(volume));
      }
    }
    return all;
  }

 private:
  // False: matchers of the tenant label leave this tenant out.
  static bool own_sets(std::span<const std::vector<Matcher>> sets, const std::string& id,
                       std::vector<std::vector<Matcher>>& own) {
    std::vector<Matcher> rest;
    for (const auto& set : sets) {
      if (chosen(set, id, rest)) own.push_back(rest);
    }
    return sets.empty() || !own.empty();
  }
  static void settle(NameList& list) {
    std::ranges::sort(list.names);
    const auto repeated = std::ranges::unique(list.names);
    list.names.erase(repeated.begin(), repeated.end());
  }
  std::vector<Part> parts_;
};

}  // namespace

Labels shown_labels(const Labels& labels, const std::string& id) { return shown(labels, id); }

bool tenant_chosen(std::span<const Matcher> matchers, const std::string& id, std::vector<Matcher>& rest) {
  return chosen(matchers, id, rest);
}

std::vector<std::string> tenants_of(std::string_view tenant) {
  std::vector<std::string> ids;
  for (const auto id : split(tenant, '|')) {
    if (std::ranges::find(ids, id) == ids.end()) ids.emplace_back(id);
  }
  return ids;
}

Result<std::shared_ptr<const Querier>> querier_of(Store& store, std::string_view tenant) {
  auto ids = tenants_of(tenant);
  if (std::ranges::find(ids, "") != ids.end()) return fail(ErrorKind::bad_input, "a tenant id is empty");
  if (ids.size() == 1) return store.querier(ids[0]);
  std::vector<Part> parts;
  for (auto& id : ids) {
    auto querier = store.querier(id);
    parts.push_back({.id = std::move(id), .querier = std::move(querier)});
  }
  return std::make_shared<const UnionQuerier>(std::move(parts));
}

}  // namespace tocayo::logs::api
