#include "core/spool.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <utility>

#include "core/random.h"
#include "support/temporary_directory.h"

namespace allreco::core {

TEST(SpoolTest, GivesBackWhatWasWrittenFromAnyPlaceAndWithAnyMemory) {
  for (const std::uint64_t memory : {std::uint64_t{0}, 3 * Spool::kChunkBytes, Spool::kAlwaysInMemory}) {
    const support::TemporaryDirectory scratch;
    Spool spool(scratch.path(), memory);
    RandomStream stream(memory + 1);
    std::string expected;
    while (expected.size() < 10 * Spool::kChunkBytes) {
      std::string piece(stream.next_below(100'000), '\0');
      for (char& c : piece) c = static_cast<char>(stream.next_below(256));
      spool.append(piece);
      expected += piece;
    }
    ASSERT_EQ(spool.size(), expected.size());
    EXPECT_EQ(spool.spilled_bytes() > 0, memory != Spool::kAlwaysInMemory);
    EXPECT_EQ(scratch.num_entries(), 0u);  // the file has no name
    const Spool moved = std::move(spool);
    for (const std::size_t buffer : {std::size_t{1}, std::size_t{1000}, Spool::kChunkBytes}) {
      const std::uint64_t begin = stream.next_below(expected.size());
      SpoolReader reader(moved, begin, expected.size(), buffer);
      for (std::size_t at = begin; at < expected.size();) {
        ASSERT_FALSE(reader.at_end());
        const std::size_t count = std::min<std::size_t>(expected.size() - at, 1 + stream.next_below(300'000));
        ASSERT_EQ(reader.read(count), std::string_view(expected).substr(at, count));
        at += count;
      }
      EXPECT_TRUE(reader.at_end());
    }
  }
}

TEST(SpoolTest, AnEmptyOneIsAtItsEnd) {
  const Spool spool("/nowhere", 0);  // no file is made before there is something to spill
  EXPECT_TRUE(SpoolReader(spool).at_end());
}

}  // namespace allreco::core
