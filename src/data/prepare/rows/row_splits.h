// RowSplits: deals ready rows (prompts, tokens) to splits: by their own split field, their times, their users, by what
// is each user's last, or at random; over all ranks as if one had them all. About 25 bytes a row.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/prepare/prepare.h"
#include "data/prepare/ranks.h"
#include "data/prepare/splits.h"

namespace allreco::data {

/// Sets `split` from the row's field of that name, nothing where it is missing or null. Returns "" or what is wrong
/// with it.
std::string parse_split(const core::Json& row, std::optional<Split>& split);

/// What a row's split may depend on.
struct RowKey {
  std::optional<Split> stated;
  std::optional<std::uint64_t> user;
  std::optional<std::int64_t> timestamp;
  std::uint64_t place = 0;  // RowPlace, for messages
};

class RowSplits {
 public:
  enum class Default { rows, random };  // what split = auto does when no row has a split field
  /// Keeps a reference to config.
  RowSplits(const PrepareConfig& config, Default when_auto) : config_(config), when_auto_(when_auto) {}

  /// This rank's next row.
  void add(const RowKey& row);
  /// Collective, once. `line_of` tells the line of a row's place. UserError when the split needs times or users that
  /// rows lack, naming the first.
  void deal(PrepareRanks& ranks, const std::function<std::string(std::uint64_t place)>& line_of);
  /// Of this rank's rows, after deal().
  Split of(std::size_t row) const { return dealt_[row]; }

  /// {method: rows | random | time | user | leave_last_out | ..., ...}, for dataset.json; after deal().
  core::Json description() const;
  /// For messages: "by the rows' fields", "at random", ...
  std::string how() const;
  /// Those that must get examples.
  std::vector<Split> needed_splits() const;

 private:
  struct LeftOut;
  void count(PrepareRanks& ranks);
  void deal_at_random(bool is_leader);
  void deal_by_time(PrepareRanks& ranks);
  void leave_last_out(PrepareRanks& ranks);
  std::vector<LeftOut> left_out(PrepareRanks& ranks) const;
  int rank_of(std::int64_t row) const;

  const PrepareConfig& config_;
  Default when_auto_;
  std::string method_;  // rows, random, time, user, leave_last_out, leave_last_two_out
  TimeBoundaries boundaries_;
  bool any_stated_ = false, has_times_ = false;  // of all ranks
  std::vector<std::int64_t> ends_;               // by rank: its rows and those of the ranks before
  std::int64_t first_ = 0;                       // rows of the ranks before
  std::vector<Split> stated_;                    // train where a row states none
  std::vector<std::uint64_t> users_;
  std::vector<std::int64_t> times_;
  /// Rows without a field: how many, and the first one's place.
  struct Lacking {
    std::int64_t rows = 0, first = std::numeric_limits<std::int64_t>::max();
    void add(std::uint64_t place);
    void join(PrepareRanks& ranks);
  };
  void require_field(const char* name, const Lacking& lacking,
                     const std::function<std::string(std::uint64_t place)>& line_of) const;
  Lacking no_user_, no_time_;
  std::vector<Split> dealt_;
};

}  // namespace allreco::data
