#include "data/prepare/rows/row_splits.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "core/check.h"
#include "core/log.h"
#include "data/prepare/packed_text.h"
#include "data/prepare/prepare_sources.h"
#include "data/prepare/target_times.h"

namespace allreco::data {
using core::Json;

namespace {

template <class T>
std::string_view bytes_of_value(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

struct UsersRow {
  std::uint64_t user = 0;
  std::int64_t time = 0, row = -1;  // of all ranks' rows; -1: none
};

/// Of rows of the same time the last one in the file is the last.
bool is_before(const UsersRow& a, const UsersRow& b) { return std::tuple(a.time, a.row) < std::tuple(b.time, b.row); }

}  // namespace

std::string parse_split(const Json& row, std::optional<Split>& split) {
  split.reset();
  const auto found = row.find("split");
  if (found == row.end() || found->is_null()) return "";
  if (found->is_string()) split = split_of_name(found->get_ref<const std::string&>());
  return split ? "" : fmt::format("split is {}: must be train, validation or test", found->dump());
}

struct RowSplits::LeftOut {
  std::int64_t row = 0;
  std::int64_t split = 0;
};

void RowSplits::Lacking::add(std::uint64_t place) {
  if (rows++ == 0) first = static_cast<std::int64_t>(place);
}

void RowSplits::Lacking::join(PrepareRanks& ranks) {
  rows = ranks.sum(rows);
  std::vector<std::int64_t> firsts{first};
  ranks.all_min(firsts);
  first = firsts[0];
}

void RowSplits::add(const RowKey& row) {
  any_stated_ = any_stated_ || row.stated.has_value();
  stated_.push_back(row.stated.value_or(Split::train));
  users_.push_back(row.user.value_or(0));
  times_.push_back(row.timestamp.value_or(0));
  if (!row.user) no_user_.add(row.place);
  if (!row.timestamp) no_time_.add(row.place);
}

void RowSplits::count(PrepareRanks& ranks) {
  ends_.assign(static_cast<std::size_t>(ranks.size()), 0);
  ends_[static_cast<std::size_t>(ranks.rank())] = std::ssize(stated_);
  ranks.all_sum(ends_);
  for (std::size_t rank = 1; rank < ends_.size(); ++rank) ends_[rank] += ends_[rank - 1];
  first_ = ranks.rank() == 0 ? 0 : ends_[static_cast<std::size_t>(ranks.rank() - 1)];
  any_stated_ = ranks.max(any_stated_ ? 1 : 0) == 1;
  no_user_.join(ranks);
  no_time_.join(ranks);
  has_times_ = no_time_.rows < ends_.back();
}

void RowSplits::require_field(const char* name, const Lacking& lacking,
                              const std::function<std::string(std::uint64_t place)>& line_of) const {
  if (lacking.rows == 0) return;
  core::user_error("split = {} needs a {} in each row, and {} of {} have none, the first in {}; use random or rows",
                   method_, name, lacking.rows, ends_.back(), line_of(static_cast<std::uint64_t>(lacking.first)));
}

void RowSplits::deal(PrepareRanks& ranks, const std::function<std::string(std::uint64_t place)>& line_of) {
  count(ranks);
  const bool is_random = when_auto_ == Default::random && !any_stated_;
  method_ = config_.split != "auto" ? config_.split : is_random ? "random" : "rows";
  if (!config_.split_time.empty()) method_ = "time";
  dealt_ = std::move(stated_);
  if (ends_.back() == 0 || method_ == "rows") return;
  if (method_ == "random") return deal_at_random(ranks.is_leader());
  if (method_ != "time") require_field("user", no_user_, line_of);
  if (method_ != "user") require_field("timestamp", no_time_, line_of);
  if (method_ == "time") return deal_by_time(ranks);
  if (method_ != "user") return leave_last_out(ranks);
  for (std::size_t row = 0; row < dealt_.size(); ++row)
    dealt_[row] = split_of_user(users_[row], config_.validation_share, config_.test_share, config_.seed);
}

void RowSplits::deal_at_random(bool is_leader) {
  if (is_leader)
    core::log_warning(
        "the rows are split at random: rows of one shopper may stand in several splits, so accuracy may look better "
        "than it is{}{}",
        any_stated_ ? "; their split fields are ignored" : "",
        has_times_ ? "; they have times, so that --split time is possible" : "");
  const std::vector<Split> all = random_split(ends_.back(), config_.validation_share, config_.test_share, config_.seed);
  std::copy_n(all.begin() + first_, dealt_.size(), dealt_.begin());
}

void RowSplits::deal_by_time(PrepareRanks& ranks) {
  const auto for_each_time = [&](const std::function<void(std::int64_t)>& visit) {
    for (const std::int64_t time : times_) visit(time);
  };
  boundaries_ = config_.split_time.empty()
                    ? time_boundaries(ranks, for_each_time, config_.validation_share, config_.test_share)
                    : parse_split_time(config_.split_time);
  for (std::size_t row = 0; row < dealt_.size(); ++row) dealt_[row] = boundaries_.split_of(times_[row]);
}

int RowSplits::rank_of(std::int64_t row) const {
  return static_cast<int>(std::upper_bound(ends_.begin(), ends_.end(), row) - ends_.begin());
}

/// Collective. Each user's rows meet on one rank; result: of the users that meet here.
std::vector<RowSplits::LeftOut> RowSplits::left_out(PrepareRanks& ranks) const {
  std::unordered_map<std::uint64_t, std::array<UsersRow, 2>> newest;  // of each user, the newest first
  ExchangeRounds rounds(ranks, kRoundBytes, [&](int, std::string_view bytes) {
    while (!bytes.empty()) {
      const auto row = take_number<UsersRow>(bytes);
      auto& [last, before] = newest[row.user];
      if (last.row < 0 || is_before(last, row))
        before = std::exchange(last, row);
      else if (before.row < 0 || is_before(before, row))
        before = row;
    }
  });
  for (std::size_t i = 0; i < users_.size(); ++i) {
    const UsersRow row{users_[i], times_[i], first_ + static_cast<std::int64_t>(i)};
    const auto keeper = static_cast<int>(row.user % static_cast<std::uint64_t>(ranks.size()));
    if (rounds.add(keeper, bytes_of_value(row))) rounds.exchange(false);
  }
  while (rounds.exchange(true)) {
  }
  std::vector<LeftOut> rows;
  for (const auto& [user, of_user] : newest) {
    rows.push_back({of_user[0].row, static_cast<std::int64_t>(Split::test)});
    if (of_user[1].row >= 0 && method_ == "leave_last_two_out")
      rows.push_back({of_user[1].row, static_cast<std::int64_t>(Split::validation)});
  }
  return rows;
}

void RowSplits::leave_last_out(PrepareRanks& ranks) {
  std::fill(dealt_.begin(), dealt_.end(), Split::train);
  ExchangeRounds rounds(ranks, kRoundBytes, [&](int, std::string_view bytes) {
    while (!bytes.empty()) {
      const auto left = take_number<LeftOut>(bytes);
      dealt_[static_cast<std::size_t>(left.row - first_)] = static_cast<Split>(left.split);
    }
  });
  for (const LeftOut& left : left_out(ranks))
    if (rounds.add(rank_of(left.row), bytes_of_value(left))) rounds.exchange(false);
  while (rounds.exchange(true)) {
  }
}

std::string RowSplits::how() const {
  if (method_ == "random") return "at random";
  if (method_ == "rows") return "by the rows' fields";
  return method_ == "time" || method_ == "user" ? "by " + method_ : method_;
}

std::vector<Split> RowSplits::needed_splits() const {
  if (method_ == "rows") return {};
  if (method_ == "leave_last_out") return {Split::train, Split::test};
  if (method_ == "leave_last_two_out") return {Split::train, Split::validation, Split::test};
  if (config_.split_time.empty()) return splits_by_share(config_);
  return boundaries_.splits();
}

Json RowSplits::description() const {
  Json json = {{"method", method_}};
  if (method_ == "rows") {
    json["note"] =
        any_stated_ ? "by the rows' split fields; rows without one train" : "no row has a split field: all train";
    return json;
  }
  if (method_.starts_with("leave_last")) {
    json["note"] = "each user's newest row is for test; what others bought later may be in train";
  } else if (config_.split_time.empty()) {
    json["validation_share"] = config_.validation_share;
    json["test_share"] = config_.test_share;
  }
  if (method_ == "time") boundaries_.describe(json);
  if (method_ == "random" || method_ == "user") json["seed"] = config_.seed;
  if (method_ == "user")
    json["note"] = "whole users by a hash: no user is in two splits; what others bought later is in train";
  if (method_ == "random")
    json["note"] =
        "random by row: rows of one shopper may stand in several splits; not comparable with a split by time";
  if (any_stated_) json["ignored"] = "the rows' split fields";
  return json;
}

}  // namespace allreco::data
