// The line of progress, on a terminal (one side of a pseudo terminal in place of stderr) and without one.
#include "core/progress_bar.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>

#include "core/check.h"

namespace allreco::core {
namespace {
using namespace std::chrono_literals;

/// stderr is a terminal while this lives.
class Terminal {
 public:
  Terminal() : master_(::posix_openpt(O_RDWR | O_NOCTTY)), stderr_(::dup(STDERR_FILENO)) {
    require(master_ >= 0 && ::grantpt(master_) == 0 && ::unlockpt(master_) == 0, "no pseudo terminal");
    const int terminal = ::open(::ptsname(master_), O_RDWR | O_NOCTTY);
    require(terminal >= 0 && ::dup2(terminal, STDERR_FILENO) == STDERR_FILENO,
            "cannot put a terminal in place of stderr");
    ::close(terminal);
  }
  ~Terminal() {
    ::dup2(stderr_, STDERR_FILENO);
    ::close(stderr_);
    ::close(master_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  /// The next so many bytes that were written; fewer when they do not come. A terminal makes \r\n of \n.
  std::string next(size_t size) {
    std::string text(size, ' ');
    size_t done = 0;
    for (pollfd waiting{master_, POLLIN, 0}; done < size && ::poll(&waiting, 1, 2000) == 1;) {
      const ssize_t length = ::read(master_, text.data() + done, size - done);
      if (length <= 0) break;
      done += static_cast<size_t>(length);
    }
    return text.substr(0, done);
  }
  bool is_silent() {
    pollfd waiting{master_, POLLIN, 0};
    return ::poll(&waiting, 1, 20) == 0;
  }

 private:
  int master_, stderr_;
};

void expect_next(Terminal& terminal, const std::string& text) {
  EXPECT_EQ(terminal.next(text.size()), text);
  EXPECT_TRUE(terminal.is_silent());
}

std::string made_too_soon() { throw std::runtime_error("a line is made"); }

TEST(ProgressBar, IsDrawnWipedAndFinishedOnATerminal) {
  Terminal terminal;
  ProgressBar bar(true);
  EXPECT_TRUE(bar.is_terminal());
  bar.update(made_too_soon);
  std::this_thread::sleep_for(110ms);
  bar.update([] { return std::string("1 of 3"); });
  expect_next(terminal, "\r\033[K1 of 3");
  bar.wipe();
  expect_next(terminal, "\r\033[K");
  bar.finish([] { return std::string("3 of 3"); });
  expect_next(terminal, "\r\033[K3 of 3\r\n");
}

TEST(ProgressBar, AFinishedLineStaysAndAnUnfinishedOneGoesWithTheBar) {
  Terminal terminal;
  {
    ProgressBar bar(true);
    bar.finish([] { return std::string("3 of 3"); });
    bar.wipe();
  }
  expect_next(terminal, "\r\033[K3 of 3\r\n");
  {
    ProgressBar bar(true);
    std::this_thread::sleep_for(110ms);
    bar.update([] { return std::string("1 of 3"); });
  }
  expect_next(terminal, "\r\033[K1 of 3\r\033[K");
}

TEST(ProgressBar, AProcessThatShowsNothingMakesNoLine) {
  Terminal terminal;
  ProgressBar bar(false);
  EXPECT_FALSE(bar.is_terminal());
  std::this_thread::sleep_for(110ms);
  bar.update(made_too_soon);
  bar.finish(made_too_soon);
  EXPECT_TRUE(terminal.is_silent());
}

}  // namespace
}  // namespace allreco::core
