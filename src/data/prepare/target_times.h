// The boundaries of a split by time over all ranks' targets, exactly, without keeping a count for every second that the
// reviews of ten years have.
#pragma once
#include <cstdint>
#include <functional>

#include "data/prepare/ranks.h"
#include "data/prepare/splits.h"

namespace allreco::data {

/// Calls its argument with the time of each of this rank's targets; may be called more than once.
using ForEachTime = std::function<void(const std::function<void(std::int64_t time)>&)>;

/// Collective. time_boundaries of all ranks' targets. The targets are counted by day; then the days around a boundary,
/// and the first two, by second, until every boundary lies where its neighbours are known by second: sizes fall from
/// one time to the next, so that the closest lies between the days' beginnings around it.
TimeBoundaries time_boundaries(PrepareRanks& ranks, const ForEachTime& for_each_time, double validation_share,
                               double test_share);

}  // namespace allreco::data
