#include "eval/gain_table.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"

namespace allreco::eval {

double sampled_hit_rate(std::int64_t rank, std::int64_t n, std::int64_t num_sampled, std::int64_t k) {
  core::require(rank >= 1 && rank <= n && k >= 1, "a rank stands between 1 and the number of items");
  if (rank == 1 || k > num_sampled) return 1.0;
  if (rank == n) return 0.0;
  const double p = static_cast<double>(rank - 1) / static_cast<double>(n - 1);
  const auto m = static_cast<double>(num_sampled);
  double log_choose = 0, probability = 0;  // of the number of negatives above the target
  for (std::int64_t above = 0; above < k; ++above) {
    const auto a = static_cast<double>(above);
    probability += std::exp(log_choose + a * std::log(p) + (m - a) * std::log1p(-p));
    log_choose += std::log((m - a) / (a + 1));
  }
  return std::min(1.0, probability);
}

}  // namespace allreco::eval
