#include "train/append_file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include "core/check.h"
#include "core/files.h"
#include "support/temporary_directory.h"
#include "train/files.h"

namespace allreco::train {
namespace {

/// Files of this process cannot grow beyond `bytes`: a write stops half way, as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &former_);
    former_handler_ = ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{bytes, former_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &former_);
    ::signal(SIGXFSZ, former_handler_);
  }

 private:
  rlimit former_{};
  void (*former_handler_)(int) = nullptr;
};

TEST(AppendFile, KeepsWhatTheDiskRefusesAndWritesItLaterWhole) {
  const support::TemporaryDirectory scratch;
  AppendFile file(scratch / "log");
  file.add("first\n");
  ASSERT_TRUE(file.flush());
  {
    const FileSizeLimit limit(10);
    file.add("second\n");
    EXPECT_FALSE(file.flush());
    EXPECT_EQ(core::read_file(scratch / "log"), "first\n") << "half a line stays";
    file.add("third\n");
    EXPECT_THROW(file.finish(), core::UserError);
  }
  file.finish();
  EXPECT_EQ(core::read_file(scratch / "log"), "first\nsecond\nthird\n");
}

}  // namespace
}  // namespace allreco::train
