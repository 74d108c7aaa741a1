#include "data/prepare/row_splitter.h"

#include <fmt/core.h>

#include "core/log.h"

namespace allreco::data {
using core::Json;

std::string parse_split(const Json& row, std::optional<Split>& split) {
  split.reset();
  const auto found = row.find("split");
  if (found == row.end() || found->is_null()) return "";
  if (found->is_string()) split = split_of_name(found->get_ref<const std::string&>());
  return split ? "" : fmt::format("split is {}: must be train, validation or test", found->dump());
}

RowSplitter::RowSplitter(const PrepareConfig& config, Default when_auto, Sink sink)
    : config_(config),
      sink_(std::move(sink)),
      waits_(config.split == "random" || (config.split == "auto" && when_auto == Default::random)) {}

void RowSplitter::add(Example example, std::optional<Split> row_split) {
  any_row_split_ = any_row_split_ || row_split.has_value();
  if (waits_) {
    waiting_.emplace_back(std::move(example), row_split);
  } else {
    sink_(row_split.value_or(Split::train), example);
  }
}

void RowSplitter::finish() {
  is_random_ = config_.split == "random" || (waits_ && !any_row_split_);
  if (waiting_.empty()) return;
  std::vector<Split> splits;
  if (is_random_) {
    splits = random_split(std::ssize(waiting_), config_.validation_share, config_.test_share, config_.seed);
    core::log_warning(
        "the rows are split at random: rows of one shopper may stand in several splits, so accuracy may look better "
        "than it is{}",
        any_row_split_ ? "; their split fields are ignored" : "");
  }
  for (size_t i = 0; i < waiting_.size(); ++i) {
    sink_(is_random_ ? splits[i] : waiting_[i].second.value_or(Split::train), waiting_[i].first);
  }
  waiting_.clear();
}

Json RowSplitter::description() const {
  if (!is_random_) {
    return {{"method", "rows"},
            {"note", any_row_split_ ? "by the rows' split fields; rows without one train"
                                    : "no row has a split field: all train"}};
  }
  Json json = {
      {"method", "random"},
      {"validation_share", config_.validation_share},
      {"test_share", config_.test_share},
      {"seed", config_.seed},
      {"note", "random by row: rows of one shopper may stand in several splits; not comparable with a split by time"}};
  if (any_row_split_) json["ignored"] = "the rows' split fields";
  return json;
}

}  // namespace allreco::data
