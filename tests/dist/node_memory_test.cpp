// Memory between processes, here from one process's two ends.
#include "dist/node_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/check.h"
#include "support/message_of.h"

namespace {

/// How many of the next calls a signal interrupts.
int num_interruptions = 0;

}  // namespace

// In place of the C library's, for this program.
extern "C" int posix_fallocate(int fd, off_t offset, off_t length) {
  if (num_interruptions-- > 0) return EINTR;
  return ::fallocate(fd, 0, offset, length) == 0 ? 0 : errno;
}

namespace allreco::dist {
namespace {

constexpr std::int64_t kNumBytes = 3 << 20;

std::string refusal_of(const std::string& place) {
  NodeMemory reader(kNumBytes);
  return support::message_of([&] { reader.open(place); });
}

}  // namespace

TEST(NodeMemory, WhatIsWrittenAtOneEndIsReadAtTheOther) {
  NodeMemory maker(kNumBytes), reader(kNumBytes);
  maker.create();
  EXPECT_EQ(maker.at(kNumBytes - 1)[0], 0);
  reader.open(maker.place());
  std::memset(maker.at(0), 7, kNumBytes);
  EXPECT_EQ(reader.at(0)[0], 7);
  EXPECT_EQ(reader.at(kNumBytes - 1)[0], 7);
}

TEST(NodeMemory, ASignalDoesNotEndTheTakingOfPages) {
  num_interruptions = 3;
  NodeMemory maker(kNumBytes);
  maker.create();
  EXPECT_LT(num_interruptions, 0) << "the interrupted calls were made";
  maker.at(kNumBytes - 1)[0] = 1;
}

// A rank that sees processes of its own only (a container for each) opens a file all the same: of whichever process has
// the maker's number there.
TEST(NodeMemory, AnotherProcesssFileIsNotTakenForIt) {
  NodeMemory maker(kNumBytes);
  maker.create();
  const std::string place = maker.place();
  const std::string path = place.substr(0, place.find(' '));
  EXPECT_EQ(refusal_of(place), "");
  maker.close();
  EXPECT_NE(refusal_of(place).find("No such file"), std::string::npos);
  NodeMemory other(kNumBytes);  // of the same size, under the number that has become free
  other.create();
  ASSERT_TRUE(other.place().starts_with(path + " "));
  EXPECT_NE(refusal_of(place).find(path + "): it is another process's. They must run as one user"), std::string::npos)
      << refusal_of(place);
}

}  // namespace allreco::dist
