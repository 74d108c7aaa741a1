// EvenShares: what the ranks hold, one rank behind another, cut anew into ranges of about equal cost. What lies beyond
// a rank's own range travels to the rank whose it is, and the order stays.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string_view>

#include "core/spool.h"
#include "data/prepare/prepare_context.h"

namespace allreco::data {

class EvenShares {
 public:
  /// Collective. `cost`: of all that this rank holds.
  EvenShares(const PrepareContext& context, std::int64_t cost);

  /// The rank that works on a record of this rank before which others cost `cost_before`. REQUIRES that to be less than
  /// what all cost together.
  int worker_of(std::int64_t cost_before) const { return static_cast<int>((first_ + cost_before) * size_ / total_); }
  /// Whether this rank works on all that it holds.
  bool keeps_all() const;

  /// Collective. `send_all` calls its argument with each record for another rank, in order.
  using Send = std::function<void(int worker, std::string_view record)>;
  void hand_over(const PrepareContext& context, const std::function<void(const Send&)>& send_all);

  /// In order: reads what came from lower ranks, calls own(), reads what came from higher ones. read() takes one
  /// record.
  void for_each(const std::function<void(core::SpoolReader&)>& read, const std::function<void()>& own) const;

 private:
  int rank_, size_;
  std::int64_t first_ = 0, own_, total_ = 0;  // what is held before this rank's, by it, and by all
  std::map<int, core::Spool> received_;       // by the rank that held it
};

}  // namespace allreco::data
