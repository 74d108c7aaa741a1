#include "dist/partition.h"

#include <gtest/gtest.h>

#include "core/check.h"

namespace allreco::dist {

TEST(Partition, CoversInOrderAndEvenlyLargerPartsFirst) {
  for (std::int64_t count = 0; count < 40; ++count) {
    for (std::int64_t parts = 1; parts < 12; ++parts) {
      std::int64_t end = 0;
      std::int64_t size_before = count + 1;
      for (std::int64_t part = 0; part < parts; ++part) {
        const Range range = part_of(count, part, parts);
        EXPECT_EQ(range.begin, end);
        EXPECT_LE(range.size(), size_before);
        EXPECT_GE(range.size(), count / parts);
        EXPECT_LE(range.size(), count / parts + 1);
        end = range.end;
        size_before = range.size();
      }
      EXPECT_EQ(end, count);
    }
  }
  const std::int64_t huge = std::int64_t{1} << 62;
  EXPECT_EQ(part_of(huge, 6, 7).end, huge);
  EXPECT_THROW(part_of(1, 2, 2), core::Fault);
  EXPECT_THROW(part_of(-1, 0, 1), core::Fault);
}

}  // namespace allreco::dist
