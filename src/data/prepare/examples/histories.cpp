#include "data/prepare/examples/histories.h"

#include <algorithm>

namespace allreco::data {

HistoryExample example_at(const Shopper& shopper, std::size_t place, const std::vector<CatalogueEntry>& catalogue,
                          std::int64_t max_history) {
  const auto& purchases = shopper.purchases;
  const Purchase& target = purchases[place];
  HistoryExample example;
  example.user = shopper.user;
  example.timestamp = target.timestamp;
  example.target = target.item;
  for (size_t k = place - std::min(place, static_cast<size_t>(max_history)); k < place; ++k) {
    example.history.push_back(purchases[k].item);
    if (catalogue[purchases[k].item].title_id == catalogue[example.target].title_id) example.repeats_title = true;
  }
  example.tied_with_last = is_same_time(purchases[place - 1], target);
  return example;
}

}  // namespace allreco::data
