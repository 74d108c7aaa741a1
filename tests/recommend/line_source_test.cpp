#include "recommend/line_source.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <string_view>
#include <thread>

#include "support/message_of.h"

namespace allreco::recommend {
namespace {

class Pipe {
 public:
  Pipe() {
    if (::pipe(ends_.data()) != 0) ADD_FAILURE() << "no pipe";
  }
  ~Pipe() {
    close();
    ::close(ends_[0]);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  int out() const { return ends_[0]; }
  void write(std::string_view text) const {
    ASSERT_EQ(::write(ends_[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void close() {
    if (ends_[1] >= 0) ::close(ends_[1]);
    ends_[1] = -1;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

std::vector<std::string> texts(const std::vector<Line>& lines) {
  std::vector<std::string> all;
  for (const Line& line : lines) all.push_back(line.text);
  return all;
}

using Texts = std::vector<std::string>;

TEST(LineSource, TakesWhatIsThereWithoutWaiting) {
  Pipe pipe;
  LineSource source({pipe.out(), "a pipe"}, 100);
  pipe.write("one\ntwo\r\n\nfo");
  EXPECT_EQ(texts(source.next(10)), (Texts{"one", "two", ""}));
  pipe.write("ur\nfive");
  EXPECT_EQ(texts(source.next(10)), Texts{"four"}) << "the fifth is not whole, and is not waited for";
  pipe.close();
  const auto last = source.next(10);
  EXPECT_EQ(texts(last), Texts{"five"});
  EXPECT_EQ(last.front().number, 5);
  EXPECT_TRUE(source.next(10).empty());
  EXPECT_TRUE(source.next(10).empty());
}

TEST(LineSource, WhatCannotBeReadIsTheUsersMistake) {
  const int directory = ::open("/", O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(support::message_of([&] {
              LineSource({directory, "requests.txt"}, 100).next(1);
            }),
            "cannot read the requests from requests.txt: Is a directory");
  ::close(directory);
}

TEST(LineSource, NotMoreThanAskedFor) {
  Pipe pipe;
  LineSource source({pipe.out(), "a pipe"}, 100);
  pipe.write("1\n2\n3\n4\n5\n");
  pipe.close();
  EXPECT_EQ(texts(source.next(2)), (Texts{"1", "2"}));
  EXPECT_EQ(texts(source.next(2)), (Texts{"3", "4"}));
  EXPECT_EQ(texts(source.next(2)), Texts{"5"});
  EXPECT_TRUE(source.next(2).empty());
}

TEST(LineSource, ALineThatIsTooLongIsCutAndTheNextIsWhole) {
  Pipe pipe;
  LineSource source({pipe.out(), "a pipe"}, 4);
  std::thread writer(
      [&] { pipe.write("1234\n12345\n1234\r\n" + std::string(1'000'000, 'x') + "\nlast"), pipe.close(); });
  std::vector<Line> all;
  for (auto lines = source.next(3); !lines.empty(); lines = source.next(3))
    all.insert(all.end(), lines.begin(), lines.end());
  writer.join();
  EXPECT_EQ(texts(all), (Texts{"1234", "1234", "1234", "xxxx", "last"}));
  std::vector<bool> too_long;
  for (const Line& line : all) too_long.push_back(line.is_too_long);
  EXPECT_EQ(too_long, (std::vector<bool>{false, true, false, true, false}));
}

}  // namespace
}  // namespace allreco::recommend
