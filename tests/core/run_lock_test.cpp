// Who gets a directory, and who is told what; with processes of their own where a lock's end or owner matters.
#include "core/run_lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "core/check.h"
#include "core/host.h"
#include "core/staging_directory.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::core {
namespace {

namespace fs = std::filesystem;

constexpr RunLockTimes kQuick{.beat = 50, .until_refused = 600, .until_dead = 600, .settle = 50};

class RunLockTest : public ::testing::Test {
 protected:
  fs::path file() const { return RunLock::inside(scratch_); }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(scratch_)) found.push_back(entry.path().filename().string());
    return found;
  }
  const support::TemporaryDirectory directory_;
  const fs::path& scratch_ = directory_.path();
};

/// Runs `work` in a process of its own; its exit code is what `work` returns.
pid_t in_process(const std::function<int()>& work) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work());
  return child;
}

int exit_code_of(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void wait_for(const fs::path& path) {
  for (int i = 0; i < 2000 && !fs::exists(path); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  ASSERT_TRUE(fs::exists(path));
}

/// A process that takes the lock and is killed.
void leave_a_dead_owner(const fs::path& file) {
  const pid_t owner = in_process([&] {
    const RunLock lock(file, "OUT", kQuick);
    ::pause();
    return 0;
  });
  wait_for(file);
  ::kill(owner, SIGKILL);
  EXPECT_EQ(exit_code_of(owner), 128 + SIGKILL);
  EXPECT_TRUE(fs::exists(file));
}

// Each round: many processes that wait for one gun, and hold the lock until all others are refused.
TEST_F(RunLockTest, ExactlyOneOfManyStartersWinsAlsoOverADeadOwner) {
  constexpr int starters = 24;
  for (int round = 0; round < 6; ++round) {
    if (round % 2 == 1) leave_a_dead_owner(file());
    std::array<int, 2> gun{}, done{};
    ASSERT_EQ(::pipe(gun.data()), 0);
    ASSERT_EQ(::pipe(done.data()), 0);
    std::vector<pid_t> children;
    for (int i = 0; i < starters; ++i) {
      children.push_back(in_process([&] {
        ::alarm(120);  // two winners would wait for each other
        ::close(gun[1]);
        ::close(done[1]);
        char end = 0;
        (void)!::read(gun[0], &end, 1);  // the gun: the writing end is closed
        try {
          const RunLock lock(file(), "OUT", kQuick);
          (void)!::read(done[0], &end, 1);
          return 0;
        } catch (const UserError&) {
          return 2;
        }
      }));
    }
    ::close(gun[1]);
    int winners = 0, refused = 0;
    for (int i = 0; i < starters - 1; ++i) {  // the losers end first: the winner waits for them
      int status = 0;
      ASSERT_GT(::waitpid(-1, &status, 0), 0);
      ++(WEXITSTATUS(status) == 0 ? winners : refused);
    }
    ::close(done[1]);
    int status = 0;
    ASSERT_GT(::waitpid(-1, &status, 0), 0);
    ++(WEXITSTATUS(status) == 0 ? winners : refused);
    EXPECT_EQ(winners, 1) << "round " << round;
    EXPECT_EQ(refused, starters - 1) << "round " << round;
    EXPECT_TRUE(names().empty()) << "round " << round << ": " << names().front();
    for (const int end : {gun[0], done[0]}) ::close(end);
  }
}

TEST_F(RunLockTest, TheRefusalNamesHostProcessAndStart) {
  const RunLock lock(file(), "OUT", kQuick);
  const std::string said = support::message_of([&] { const RunLock second(file(), "OUT", kQuick); });
  EXPECT_NE(said.find("process " + std::to_string(::getpid()) + " on " + host_name() + " since 20"), std::string::npos)
      << said;
  EXPECT_TRUE(lock.is_held());
}

// It may be dying: a restart right after a kill must not be refused for that.
TEST_F(RunLockTest, AnOwnerThatEndsWhileSomebodyWaitsIsFollowed) {
  const pid_t owner = in_process([&] {
    const RunLock lock(file(), "OUT", {.beat = 60'000});
    ::pause();
    return 0;
  });
  wait_for(file());
  std::thread killer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    ::kill(owner, SIGKILL);
  });
  EXPECT_EQ(support::message_of([&] { const RunLock lock(file(), "OUT", kQuick); }), "");
  killer.join();
  exit_code_of(owner);
}

TEST_F(RunLockTest, AStoppedOwnerKeepsItsLock) {
  const pid_t owner = in_process([&] {
    const RunLock lock(file(), "OUT", kQuick);
    ::raise(SIGSTOP);
    return 0;
  });
  wait_for(file());
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_NE(support::message_of([&] { const RunLock lock(file(), "OUT", kQuick); }).find("does not stir"),
            std::string::npos);
  ::kill(owner, SIGCONT);
  EXPECT_EQ(exit_code_of(owner), 0);
}

// On a file system that keeps locks from other hosts nobody here holds the file: only its beat tells.
TEST_F(RunLockTest, AnotherHostsLockIsTakenOverOnlyWithoutABeat) {
  const auto write_foreign = [&] {
    std::ofstream(file()) << R"({"host": "n7", "process": 11, "since": "2026-01-02T03:04:05Z", "machine": "another"})";
  };
  write_foreign();
  bool ending = false;
  std::thread beating([&] {
    for (int i = 0; !ending && i < 200; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      ::utimensat(AT_FDCWD, file().c_str(), nullptr, 0);
    }
  });
  const std::string said = support::message_of([&] { const RunLock lock(file(), "OUT", kQuick); });
  ending = true;
  beating.join();
  EXPECT_NE(said.find("process 11 on n7 since 2026-01-02T03:04:05Z (it is alive)"), std::string::npos) << said;

  const auto begin = std::chrono::steady_clock::now();
  {
    const RunLock lock(file(), "OUT", kQuick);
    EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(kQuick.until_dead));
    EXPECT_TRUE(lock.is_held());
  }
  EXPECT_TRUE(names().empty());
}

TEST_F(RunLockTest, AnOwnerSeesThatItsDirectoryWasMovedDeletedOrTakenOver) {
  const std::vector<std::function<void(const fs::path&)>> losses{
      [](const fs::path& out) { fs::rename(out, out.string() + "-moved"); },
      [](const fs::path& out) { fs::remove_all(out); },
      [](const fs::path& out) {  // another run in a new directory of that name
        fs::remove_all(out);
        fs::create_directory(out);
        std::ofstream(RunLock::inside(out)) << "another";
      }};
  for (const auto& lose : losses) {
    const fs::path out = scratch_ / "OUT";
    const LockedDirectory directory(out, kQuick);
    directory.require_in_place();
    lose(out);
    EXPECT_THROW(directory.require_in_place(), Fault);
    fs::remove_all(out);
  }
}

TEST_F(RunLockTest, AnUnusedDirectoryGoesWithItsLockAndAUsedOneStays) {
  { const LockedDirectory directory(scratch_ / "new/OUT", kQuick); }
  EXPECT_TRUE(names().empty());
  {
    const LockedDirectory directory(scratch_ / "new/OUT", kQuick);
    std::ofstream(scratch_ / "new/OUT/file") << "text";
  }
  EXPECT_TRUE(fs::exists(scratch_ / "new/OUT/file"));
  EXPECT_FALSE(fs::exists(RunLock::inside(scratch_ / "new/OUT")));
}

TEST_F(RunLockTest, ADirectoryIsBuiltOnceAtATime) {
  const fs::path target = scratch_ / "DS";
  const pid_t killed = in_process([&] {
    const StagingDirectory staging(target);
    std::ofstream(staging.path() / "part") << "half";
    ::pause();
    return 0;
  });
  wait_for(scratch_ / (".DS.tmp-" + std::to_string(killed)) / "part");
  EXPECT_NE(
      support::message_of([&] { const StagingDirectory second(target); }).find("process " + std::to_string(killed)),
      std::string::npos);
  EXPECT_NE(support::message_of([&] { const LockedDirectory in_place(target, kQuick); }), "");
  EXPECT_FALSE(fs::exists(target));
  ::kill(killed, SIGKILL);
  exit_code_of(killed);
  {
    StagingDirectory next(target);
    EXPECT_EQ(names().size(), 2u) << "what the killed one built is gone";
    std::ofstream(next.path() / "part") << "whole";
    next.publish();
  }
  EXPECT_EQ(names(), std::vector<std::string>{"DS"});
}

TEST_F(RunLockTest, ADirectoryThatARunWritesIsNotBuilt) {
  const LockedDirectory run(scratch_ / "OUT", kQuick);
  EXPECT_NE(support::message_of([&] { const StagingDirectory staging(scratch_ / "OUT"); }).find("is in use by process"),
            std::string::npos);
}

TEST_F(RunLockTest, ASignalRemovesWhatIsBuiltAndEndsTheProcess) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    const pid_t builder = in_process([&] {
      const StagingDirectory staging(scratch_ / "new/DS");
      std::ofstream(staging.path() / "part") << "half";
      try {
        while (true) throw_if_interrupted();
      } catch (const Fault&) {
        return 77;  // the signal is raised before the process comes to its exit code
      }
    });
    wait_for(scratch_ / ("new/.DS.tmp-" + std::to_string(builder)) / "part");
    ::kill(builder, number);
    EXPECT_EQ(exit_code_of(builder), 128 + number);
    EXPECT_TRUE(names().empty());
  }
}

}  // namespace
}  // namespace allreco::core
