#include "data/input/row_splitter.h"

#include <fmt/core.h>

#include <algorithm>
#include <numeric>
#include <tuple>

#include "core/check.h"
#include "core/log.h"
#include "data/prepare/prepare_sources.h"

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
      waits_(config.split != "rows" && (config.split != "auto" || when_auto == Default::random)) {}

void RowSplitter::add(Example example, std::optional<Split> row_split) {
  any_row_split_ = any_row_split_ || row_split.has_value();
  if (waits_) {
    waiting_.emplace_back(std::move(example), row_split);
  } else {
    sink_(row_split.value_or(Split::train), example);
  }
}

void RowSplitter::finish() {
  method_ = config_.split != "auto" ? config_.split : waits_ && !any_row_split_ ? "random" : "rows";
  if (waiting_.empty()) return;
  const std::vector<Split> splits = deal();
  for (size_t i = 0; i < waiting_.size(); ++i) sink_(splits[i], waiting_[i].first);
  waiting_.clear();
}

std::vector<Split> RowSplitter::deal() {
  if (method_ == "time") return by_time();
  if (method_ == "rows") {
    std::vector<Split> splits;
    for (const auto& [example, split] : waiting_) splits.push_back(split.value_or(Split::train));
    return splits;
  }
  if (method_ != "random") return leave_last_out();
  core::log_warning(
      "the rows are split at random: rows of one shopper may stand in several splits, so accuracy may look better "
      "than it is{}{}",
      any_row_split_ ? "; their split fields are ignored" : "",
      waiting_.front().first.timestamp ? "; they have times, so that --split time is possible" : "");
  return random_split(std::ssize(waiting_), config_.validation_share, config_.test_share, config_.seed);
}

void RowSplitter::require_field(const char* name, bool (*has)(const Example&)) const {
  std::int64_t num_without = 0;
  for (const auto& [example, split] : waiting_) num_without += has(example) ? 0 : 1;
  if (num_without > 0)
    core::user_error("split = {} needs a {} in each row, and {} of {} have none; use random or rows", method_, name,
                     num_without, waiting_.size());
}

std::vector<Split> RowSplitter::by_time() {
  require_field("timestamp", [](const Example& e) { return e.timestamp.has_value(); });
  std::vector<std::int64_t> times;
  for (const auto& [example, split] : waiting_) times.push_back(*example.timestamp);
  boundaries_ = time_boundaries(times, config_.validation_share, config_.test_share);
  std::vector<Split> splits;
  for (const std::int64_t time : times) splits.push_back(boundaries_.split_of(time));
  return splits;
}

/// Of rows of the same time the last one in the file is the last.
std::vector<Split> RowSplitter::leave_last_out() const {
  require_field("user", [](const Example& e) { return e.user.has_value(); });
  require_field("timestamp", [](const Example& e) { return e.timestamp.has_value(); });
  std::vector<size_t> order(waiting_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto key = [&](size_t row) {
    return std::tuple(*waiting_[row].first.user, *waiting_[row].first.timestamp, row);
  };
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return key(a) < key(b); });
  std::vector<Split> splits(waiting_.size(), Split::train);
  std::int64_t num_later = 0;  // of the same user
  for (size_t i = order.size(); i-- > 0;) {
    const bool is_same = i + 1 < order.size() && waiting_[order[i]].first.user == waiting_[order[i + 1]].first.user;
    num_later = is_same ? num_later + 1 : 0;
    if (num_later == 0) splits[order[i]] = Split::test;
    if (num_later == 1 && method_ == "leave_last_two_out") splits[order[i]] = Split::validation;
  }
  return splits;
}

std::string RowSplitter::how() const {
  if (method_ == "random") return "at random";
  if (method_ == "rows") return "by the rows' fields";
  return method_ == "time" ? "by time" : method_;
}

std::vector<Split> RowSplitter::needed_splits() const {
  if (method_ == "random" || method_ == "time") return splits_by_share(config_);
  if (method_ == "leave_last_out") return {Split::train, Split::test};
  if (method_ == "leave_last_two_out") return {Split::train, Split::validation, Split::test};
  return {};
}

Json RowSplitter::description() const {
  if (method_ == "rows") {
    return {{"method", "rows"},
            {"note", any_row_split_ ? "by the rows' split fields; rows without one train"
                                    : "no row has a split field: all train"}};
  }
  Json json = {{"method", method_}};
  if (method_.starts_with("leave_last")) {
    json["note"] = "each user's newest row is for test; what others bought later may be in train";
  } else {
    json["validation_share"] = config_.validation_share;
    json["test_share"] = config_.test_share;
  }
  if (method_ == "time") {
    if (config_.validation_share > 0) json["validation_start"] = boundaries_.validation_start;
    if (config_.test_share > 0) json["test_start"] = boundaries_.test_start;
  }
  if (method_ == "random") {
    json["seed"] = config_.seed;
    json["note"] =
        "random by row: rows of one shopper may stand in several splits; not comparable with a split by time";
  }
  if (any_row_split_) json["ignored"] = "the rows' split fields";
  return json;
}

}  // namespace allreco::data
