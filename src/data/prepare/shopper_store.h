// ShopperStore: one rank's shoppers with their purchases, in the order of their ids, in memory as far as that may be
// used and behind that in a nameless file. Written once, then streamed as often as the steps of a preparation need it.
#pragma once
#include <cstdint>
#include <functional>

#include "core/spool.h"
#include "data/prepare/memory_plan.h"
#include "data/prepare/shoppers.h"

namespace allreco::data {

class ShopperStore {
 public:
  explicit ShopperStore(const MemoryPlan& memory) : spool_(memory.spill_directory, memory.spool()) {}

  void append(const Shopper& shopper);
  /// Calls visit for each shopper in order; one is in memory at a time.
  void for_each(const std::function<void(Shopper&&)>& visit) const;

  std::int64_t num_shoppers() const { return num_shoppers_; }
  std::int64_t num_purchases() const { return num_purchases_; }
  std::uint64_t spilled_bytes() const { return spool_.spilled_bytes(); }

 private:
  core::Spool spool_;
  std::int64_t num_shoppers_ = 0, num_purchases_ = 0;
};

}  // namespace allreco::data
