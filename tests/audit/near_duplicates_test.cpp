#include "audit/near_duplicates.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "audit/words.h"
#include "core/random.h"

namespace allreco::audit {
namespace {

Shingles random_set(core::RandomStream& stream, std::size_t size) {
  Shingles set;
  while (set.size() < size) set.push_back(stream.next_u64());
  std::sort(set.begin(), set.end());
  return set;
}

/// `set` with `num_changed` members replaced: of n, the Jaccard similarity is (n - c) / (n + c).
Shingles changed(Shingles set, core::RandomStream& stream, std::size_t num_changed) {
  for (std::size_t i = 0; i < num_changed; ++i) set[i] = stream.next_u64();
  std::sort(set.begin(), set.end());
  return set;
}

// A pair at the threshold is missed with probability 0.0004, at 0.85 with 0.00002: of 300, one more than expected
// happens in 1 of 10 draws at most, and the draws are fixed.
TEST(NearDuplicates, AreThoseOfTheExactComparisonOfAllPairs) {
  core::RandomStream stream(core::key_of("near"));
  std::vector<Shingles> sets, others;
  for (std::size_t i = 0; i < 300; ++i) {
    sets.push_back(random_set(stream, 20 + stream.next_below(60)));
    if (i % 2 == 0) others.push_back(changed(sets.back(), stream, stream.next_below(20)));
  }
  sets.emplace_back();
  others.emplace_back();
  const std::vector<bool> found = has_near(sets, others, 0.8);
  std::size_t num_near = 0;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    const bool is_near = std::any_of(others.begin(), others.end(),
                                     [&](const Shingles& other) { return jaccard(sets[i], other) >= 0.8; });
    EXPECT_EQ(found[i], is_near) << i;
    num_near += is_near;
  }
  EXPECT_GT(num_near, 30U);
  EXPECT_LT(num_near, 140U);
}

}  // namespace
}  // namespace allreco::audit
