#include "core/mapped_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <vector>

#include "core/check.h"
#include "support/temporary_directory.h"

namespace allreco::core {
namespace {

namespace fs = std::filesystem;

class MappedFiles : public ::testing::Test {
 protected:
  MappedFiles() {
    ::testing::FLAGS_gtest_death_test_style = "threadsafe";
    std::ofstream(path_) << std::string(kBytes, 'x');
  }

  static constexpr size_t kBytes = 1 << 16;
  const support::TemporaryDirectory directory_;
  const fs::path path_ = directory_ / "mapped";
};

TEST_F(MappedFiles, HoldTheFilesBytes) {
  const MappedFile mapped{InputFile(path_)};
  EXPECT_EQ(std::string(mapped.data(), mapped.size()), std::string(kBytes, 'x'));
  fs::resize_file(path_, 0);
  EXPECT_EQ(MappedFile(InputFile(path_)).data(), nullptr);
}

TEST_F(MappedFiles, ACutOneSaysWhichItWas) {
  EXPECT_EXIT(
      {
        const MappedFile mapped{InputFile(path_)};
        fs::resize_file(path_, 100);
        const volatile char touched = mapped.data()[kBytes - 1];
        static_cast<void>(touched);
      },
      ::testing::ExitedWithCode(1), "error .*/allreco-[^/]+/mapped was cut short.*Copy it again");
}

TEST_F(MappedFiles, OtherBusErrorsKeepTheirHandler) {
  EXPECT_EXIT(
      {
        std::signal(SIGBUS, [](int) { ::_exit(77); });
        const MappedFile mapped{InputFile(path_)};
        ::raise(SIGBUS);  // not at an address of a mapping
      },
      ::testing::ExitedWithCode(77), "");
}

TEST_F(MappedFiles, PlacesAreUsedAgain) {
  for (int i = 0; i < 5000; ++i) EXPECT_NE(MappedFile(InputFile(path_)).data(), nullptr);
  std::vector<std::unique_ptr<MappedFile>> mapped;
  const InputFile file(path_);
  for (int i = 0; i < 4096; ++i) mapped.push_back(std::make_unique<MappedFile>(file));
  EXPECT_THROW(MappedFile{file}, UserError);
}

}  // namespace
}  // namespace allreco::core
