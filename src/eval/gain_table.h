// GainTable: a metric that is a function of the rank, for lists so long that ties cannot be summed one by one.
#pragma once
#include <cstdint>
#include <vector>

#include "eval/metrics.h"

namespace allreco::eval {

class GainTable {
 public:
  /// gain(rank) for the ranks 1 to `num_candidates`.
  template <class Gain>
  GainTable(std::int64_t num_candidates, const Gain& gain) : sums_{0.0} {
    for (std::int64_t rank = 1; rank <= num_candidates; ++rank) {
      gains_.push_back(gain(rank));
      sums_.push_back(sums_.back() + gains_.back());
    }
  }

  /// The mean over the ranks that breaking ties at random may give.
  double expectation(const Ranks& ranks) const {
    const auto g = static_cast<std::size_t>(ranks.num_higher), e = static_cast<std::size_t>(ranks.num_equal);
    if (e == 0) return gains_.at(g);
    return (sums_.at(g + e + 1) - sums_[g]) / static_cast<double>(e + 1);
  }

 private:
  std::vector<double> gains_;  // [rank - 1]
  std::vector<double> sums_;   // of the first so many
};

/// P(a rank of at most k among the target and `num_sampled` negatives drawn uniformly, with replacement, from the other
/// n - 1 items), for the full rank r of n: P(Binomial(num_sampled, (r - 1) / (n - 1)) < k). What lists of sampled
/// negatives show of the same scores (Krichene and Rendle 2020).
double sampled_hit_rate(std::int64_t rank, std::int64_t n, std::int64_t num_sampled, std::int64_t k);

}  // namespace allreco::eval
