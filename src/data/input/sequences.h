// Sequences without times, as benchmarks of sequential recommendation are published: one line a user, `user item item
// ...` in the order of purchase, and one line an item, `item text`. Both as shoppers, like those of reviews.
#pragma once
#include <cstdint>
#include <filesystem>

#include "data/prepare/shoppers/shoppers.h"

namespace allreco::data {

/// All purchases have the time 0. A user's repeated item is kept: it is part of the sequence. Texts are cleaned as
/// titles are; an item without a usable one is called by its id, and counted. UserError for a user without items, and
/// for a user or an item that has two lines.
Shoppers read_sequences(const std::filesystem::path& sequences, const std::filesystem::path& items,
                        std::int64_t max_title_length);

}  // namespace allreco::data
