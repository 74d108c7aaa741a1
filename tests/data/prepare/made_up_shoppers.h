// Catalogues and shoppers of tests.
#pragma once
#include <fmt/core.h>

#include <set>
#include <vector>

#include "data/prepare/shoppers/shoppers.h"

namespace allreco::data {

/// `num_items` items; items 0 and 1, 2 and 3, ... share a title where `share_titles` is set.
inline std::vector<CatalogueEntry> catalogue_of(std::uint32_t num_items, bool share_titles) {
  std::vector<CatalogueEntry> catalogue;
  for (std::uint32_t i = 0; i < num_items; ++i) {
    const std::uint32_t title = share_titles ? i / 2 : i;
    catalogue.push_back({fmt::format("A{}", i), fmt::format("title {}", title), title});
  }
  return catalogue;
}

/// A shopper who bought these items, one a day, and `also_bought` (titles whose reviews did not pass the filters).
inline Shopper shopper_of(std::uint64_t user, const std::vector<std::uint32_t>& items,
                          const std::vector<CatalogueEntry>& catalogue,
                          const std::vector<std::uint32_t>& also_bought = {}) {
  Shopper shopper;
  shopper.user = user;
  std::set<std::uint32_t> titles(also_bought.begin(), also_bought.end());
  for (std::uint32_t item : items) {
    shopper.purchases.push_back({.item = item, .timestamp = 86400 * std::ssize(shopper.purchases)});
    titles.insert(catalogue[item].title_id);
  }
  shopper.bought_titles.assign(titles.begin(), titles.end());
  return shopper;
}

}  // namespace allreco::data
