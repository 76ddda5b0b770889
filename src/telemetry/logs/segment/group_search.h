// SPDX-License-Identifier: Apache-2.0
// Decides the filters of a selection on the encodings of one row group.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "logs/segment/group_view.h"
#include "logs/segment/row_set.h"
#include "logs/segment/selection.h"
#include "logs/segment/template_match.h"

namespace tocayo::logs {

class GroupSearch {
 public:
  GroupSearch(GroupRows& rows, const CompiledSelection& selection, const SegmentPlan& plan)
      : rows_(rows), selection_(selection), plan_(plan) {}

  // False: by the index alone no row of the group passes the line filters.
  bool may_match();
  // False: … no row without a stream label of that name passes the label filter.
  bool metadata_may_match(std::size_t label_filter) const;
  // Removes from `set` the rows that do not pass the line filters.
  Result<> apply_line_filters(RowSet& set, const Context& context);
  // Removes the rows whose metadata does not pass; `by_stream[row's stream]` rows are left alone.
  Result<RowSet> metadata_matches(std::size_t label_filter);

 private:
  bool column_may_hold(const format::Column& column, const SlotTest& test, bool fold) const;
  bool template_may_hold(std::size_t filter, std::size_t needle, std::uint32_t local) const;
  bool text_may_hold(const Needle& needle) const;
  Result<> add_holders(std::size_t filter, std::size_t needle, RowSet& found, RowSet& unsure);
  Result<> test_column(std::uint32_t local, const SlotTest& test, bool fold, RowSet& passed);
  TemplateMatch& match_of(std::size_t filter, std::uint32_t local);
  Result<> add_text_matches(const FilterPlan& filter, RowSet& found, const Context& context);
  bool regex_may_match(std::size_t filter);
  Result<> add_matches(std::size_t filter, const RowSet& within, RowSet& found, RowSet& unsure, const Context& context);
  Result<> confirm(const FilterPlan& filter, RowSet& set, const RowSet& unsure, const Context& context);

  GroupRows& rows_;
  const CompiledSelection& selection_;
  const SegmentPlan& plan_;
  std::vector<std::vector<std::unique_ptr<TemplateMatch>>> matches_;  // by filter and template
  std::vector<std::string_view> texts_;
};

}  // namespace tocayo::logs
