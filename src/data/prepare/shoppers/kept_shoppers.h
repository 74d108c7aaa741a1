// From reviewed items and titles to the shoppers that examples are made of: the join, k-core, the catalogue.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/prepare/shoppers/item_table.h"
#include "data/prepare/shoppers/reviewed_items.h"
#include "data/prepare/shoppers/shopper_store.h"

namespace allreco::data {

/// The shoppers of a preparation; all but the store is the same on all ranks.
struct KeptShoppers {
  explicit KeptShoppers(const MemoryPlan& memory) : store(memory) {}

  ShopperStore store;                     // this rank's, with a kept review, in the order of their ids
  std::vector<CatalogueEntry> catalogue;  // the items of kept reviews, sorted by asin
  ReviewCounts counts;                    // of all ranks
  core::Json catalogue_counts;
  core::Json k_core;  // null, or what each round left
};

/// Each shopper and each item must have so many kept reviews; 0: any number.
struct CoreLimits {
  std::int64_t min_user_interactions = 0, min_item_interactions = 0;
};

/// Collective. `places`: of this rank's item numbers in the table, whose texts are moved to the catalogue. `counts`: of
/// this rank so far.
KeptShoppers keep_shoppers(const PrepareContext& context, const ReviewedItems& reviewed,
                           const std::vector<std::uint32_t>& places, ItemTable&& table, const ReviewCounts& counts,
                           const CoreLimits& limits);

}  // namespace allreco::data
