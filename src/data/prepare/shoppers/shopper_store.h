// ShopperStore: one rank's shoppers with their purchases, in the order of their ids, in memory as far as that may be
// used and behind that in a nameless file. Written once, then streamed as often as the steps of a preparation need it.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "core/spool.h"
#include "data/prepare/memory_plan.h"
#include "data/prepare/shoppers/shoppers.h"

namespace allreco::data {

/// A shopper as bytes, its lengths first: how it lies in a store and travels between ranks.
void pack_shopper(const Shopper& shopper, std::string& bytes);
/// The next one, whose vectors' memory is used again.
void read_shopper(core::SpoolReader& reader, Shopper& shopper);

class ShopperStore {
 public:
  explicit ShopperStore(const MemoryPlan& memory) : spool_(memory.spill_directory, memory.spool()) {}

  void append(const Shopper& shopper);
  /// Calls visit for each shopper in order; one is in memory at a time, and may be moved from.
  void for_each(const std::function<void(Shopper&)>& visit) const;

  std::int64_t num_shoppers() const { return num_shoppers_; }
  std::int64_t num_purchases() const { return num_purchases_; }
  std::uint64_t spilled_bytes() const { return spool_.spilled_bytes(); }

 private:
  core::Spool spool_;
  std::string packed_;  // memory that append() uses again
  std::int64_t num_shoppers_ = 0, num_purchases_ = 0;
};

}  // namespace allreco::data
