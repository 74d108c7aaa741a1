// A disk that fills up at any moment: a UserError that names the path and the reason, and nothing left behind.
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "data/store/dataset.h"
#include "data/store/dataset_samples.h"
#include "data/store/dataset_writer.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::data {
namespace fs = std::filesystem;

/// Writes a dataset of about 700 KB with two splits, tokenizer and catalogue into `directory`.
void write_dataset(const fs::path& directory) {
  const fs::path model = fs::path(ALLRECO_SOURCE_DIR) / "tests/fixtures/tokenizer/tok512.model";
  DatasetWriterOptions options = writer_options(directory);
  options.tokenizer = model;
  options.tokenizer_sha256 = Tokenizer(model).sha256();
  options.examples_per_shard = 2000;
  DatasetWriter writer(options);
  append_samples(writer, "train", 0, 5000);
  append_samples(writer, "test", 5000, 1000);
  writer.finish(sample_items(), core::Json::object());
}

/// Files may not grow past a limit while this lives: the system's refusal comes from the same calls as that of a full
/// disk (EFBIG for ENOSPC).
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
};

TEST(DiskFull, AnyFileThatCannotGrowEndsTheWriter) {
  int failures = 0;
  for (rlim_t limit = 0; limit < 240 * 1024; limit += 3 * 1024) {
    const support::TemporaryDirectory scratch;
    std::string message;
    {
      const FileSizeLimit file_size(limit);
      message = support::message_of([&] { write_dataset(scratch.path() / "DS"); });
    }
    if (message.empty()) {
      EXPECT_EQ(Dataset(scratch.path() / "DS", "train").size(), 5000) << limit;
      continue;
    }
    ++failures;
    EXPECT_TRUE(contains(message, "File too large")) << message;
    EXPECT_TRUE(contains(message, scratch.path().string())) << message;
    EXPECT_EQ(scratch.num_entries(), 0u) << "left behind with a limit of " << limit;
  }
  EXPECT_GT(failures, 50);
  EXPECT_LT(failures, 80);  // the largest limits are enough
}

/// In a mount namespace of its own, writes into a tmpfs of `pages` pages. Exit codes: 0 written, 1 refused as promised,
/// 2 anything else, 3 this machine lets nobody mount.
int write_into_tmpfs(const fs::path& mount_point, int pages) {
  const int flags = CLONE_NEWNS | (::geteuid() == 0 ? 0 : CLONE_NEWUSER);
  if (::unshare(flags) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 3;
  const std::string size = "size=" + std::to_string(pages * ::sysconf(_SC_PAGESIZE));
  if (::mount("tmpfs", mount_point.c_str(), "tmpfs", 0, size.c_str()) != 0) return 3;
  const std::string message = support::message_of([&] { write_dataset(mount_point / "DS"); });
  if (message.empty()) return Dataset(mount_point / "DS", "train").size() == 5000 ? 0 : 2;
  const bool clean = fs::is_empty(mount_point);
  const bool clear = contains(message, "No space left on device") && contains(message, mount_point.string());
  if (!clean || !clear)
    std::fprintf(stderr, "%d pages: %s, message: %s\n", pages, clean ? "clean" : "files left", message.c_str());
  return clean && clear ? 1 : 2;
}

TEST(DiskFull, SmallFileSystemsAreReportedAndLeftClean) {
  const support::TemporaryDirectory scratch;
  std::vector<int> outcomes(4, 0);
  for (int pages = 5; pages < 400; pages += 3) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) ::_exit(write_into_tmpfs(scratch.path(), pages));
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status)) << "killed with " << pages << " pages";
    const int outcome = WEXITSTATUS(status);
    if (outcome == 3)
      GTEST_SKIP() << "this machine lets nobody mount a tmpfs; AnyFileThatCannotGrowEndsTheWriter covers the rest";
    ASSERT_NE(outcome, 2) << pages << " pages";
    outcomes[static_cast<size_t>(outcome)]++;
  }
  EXPECT_GT(outcomes[0], 0) << "the largest file system is large enough";
  EXPECT_GT(outcomes[1], 50) << "small ones are not";
}

}  // namespace allreco::data
