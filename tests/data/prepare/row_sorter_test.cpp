#include "data/prepare/shoppers/row_sorter.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

#include "core/random.h"
#include "support/temporary_directory.h"

namespace allreco::data {

namespace {

/// Everything of a row, in the order that is promised: texts and numbers compared one by one.
using Key = std::tuple<std::string, std::string, std::int64_t, float, bool>;

Key key_of(const ReviewRow& row) { return {row.user, row.item, row.time_ms, -row.rating, !row.verified}; }

/// Names of many lengths with common beginnings, so that the first eight bytes often say nothing.
std::vector<ReviewRow> random_rows(std::uint64_t seed, int count) {
  core::RandomStream stream(seed);
  std::vector<ReviewRow> rows;
  for (int i = 0; i < count; ++i) {
    const std::string user = std::string(stream.next_below(12), 'A') + fmt::format("{}", stream.next_below(40));
    rows.push_back({user + (stream.next_below(50) == 0 ? std::string(5000, '\xff') : ""),
                    fmt::format("B{}", stream.next_below(30)), static_cast<std::int64_t>(stream.next_below(5)) - 2,
                    static_cast<float>(stream.next_below(6)), stream.next_below(2) == 0});
  }
  return rows;
}

}  // namespace

TEST(RowSorterTest, OrdersAsOneSortWhateverTheMemory) {
  const std::vector<ReviewRow> rows = random_rows(7, 20'000);
  std::vector<Key> expected;
  for (const ReviewRow& row : rows) expected.push_back(key_of(row));
  std::sort(expected.begin(), expected.end());
  // Unlimited; some runs; so many runs that they are merged in between.
  for (const std::uint64_t memory : {std::uint64_t{0}, std::uint64_t{500'000}, std::uint64_t{20'000}}) {
    const support::TemporaryDirectory scratch;
    RowSorter sorter(scratch.path(), memory);
    std::string packed;
    for (const ReviewRow& row : rows) {
      packed.clear();
      pack_row(row, packed);
      sorter.add(packed);
    }
    std::vector<Key> found;
    sorter.for_each_sorted(
        [&](const RowView& row) { found.emplace_back(row.user, row.item, row.time_ms, -row.rating, !row.verified); });
    EXPECT_EQ(found, expected);
    EXPECT_EQ(sorter.spilled_bytes() > 0, memory > 0);
    EXPECT_EQ(scratch.num_entries(), 0u);
  }
}

}  // namespace allreco::data
