// Which split an example belongs to.
#pragma once
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace allreco::data {

enum class Split { train, validation, test };
constexpr std::array<Split, 3> kSplits = {Split::train, Split::validation, Split::test};

/// "train", "validation" or "test".
std::string_view name_of(Split split);
/// The split of that name; "valid", "val", "dev" and "eval" mean validation. Nothing when it is none.
std::optional<Split> split_of_name(std::string_view name);

/// A split by global time: what happens before `validation_start` trains; a share of 0 leaves its start at the next
/// one's.
struct TimeBoundaries {
  std::int64_t validation_start = std::numeric_limits<std::int64_t>::max();
  std::int64_t test_start = std::numeric_limits<std::int64_t>::max();
  Split split_of(std::int64_t timestamp) const;
  /// Those that have a beginning.
  std::vector<Split> splits() const;
  /// Sets validation_start and test_start in a description, where there are such splits.
  void describe(core::Json& json) const;
};

struct TimeCount {
  std::int64_t time = 0, count = 0;
};

/// Of how many targets there are at each time, sorted by it: the boundaries for which the shares of test, then of
/// validation, come closest to the wanted ones. Equal times never straddle a boundary, no split with a share above 0 is
/// empty, and train is never empty. UserError when there are too few different times for that.
TimeBoundaries time_boundaries(const std::vector<TimeCount>& histogram, double validation_share, double test_share);

/// `T` or `T,U`, each seconds since 1970 or a day (2015-06-30, from its midnight UTC on): test starts at the last one,
/// validation, if there are two, at the first. UserError naming the option for anything else.
TimeBoundaries parse_split_time(const std::string& text);

/// Whole users by a hash of user and seed, the shares in expectation.
Split split_of_user(std::uint64_t user, double validation_share, double test_share, std::uint64_t seed);

/// A random split of n examples: round(n * share) of each (at least one where the share is above 0). A pure function of
/// the arguments. UserError when n is too small for that.
std::vector<Split> random_split(std::int64_t n, double validation_share, double test_share, std::uint64_t seed);

}  // namespace allreco::data
