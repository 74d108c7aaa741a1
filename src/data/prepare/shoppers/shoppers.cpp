#include "data/prepare/shoppers/shoppers.h"

#include <algorithm>
#include <tuple>

namespace allreco::data {

Purchase purchase_at(std::uint32_t item, std::int64_t time_ms) {
  const std::int64_t millisecond = ((time_ms % 1000) + 1000) % 1000;
  return {item, static_cast<std::uint32_t>(millisecond), (time_ms - millisecond) / 1000};
}

void finish_shopper(Shopper& shopper) {
  std::sort(shopper.purchases.begin(), shopper.purchases.end(), [](const Purchase& a, const Purchase& b) {
    return std::tuple(a.timestamp, a.millisecond, a.item) < std::tuple(b.timestamp, b.millisecond, b.item);
  });  // items are numbered by asin
  auto& bought = shopper.bought_titles;
  std::sort(bought.begin(), bought.end());
  bought.erase(std::unique(bought.begin(), bought.end()), bought.end());
}

}  // namespace allreco::data
