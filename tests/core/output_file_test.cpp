// What a command was told to write: whole, once, and nothing lost for it.
#include "core/output_file.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <iterator>
#include <string>

#include "core/check.h"
#include "core/files.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::core {
namespace {

namespace fs = std::filesystem;

class OutputFileTest : public ::testing::Test {
 protected:
  std::string said(const fs::path& file, bool replaces = false) const {
    return support::message_of([&] { const OutputFile output("output", file, replaces); });
  }
  const support::TemporaryDirectory directory_;
  const fs::path& scratch_ = directory_.path();
};

TEST_F(OutputFileTest, AppearsWholeWithItsDirectoriesAndLeavesNothingBeside) {
  {
    const OutputFile output("output", scratch_ / "new/deep/x.json");
    EXPECT_FALSE(fs::exists(scratch_ / "new/deep/x.json"));
    output.write_json({{"a", 1}});
  }
  EXPECT_EQ(read_file(scratch_ / "new/deep/x.json"), "{\n  \"a\": 1\n}\n");
  EXPECT_EQ(std::distance(fs::directory_iterator(scratch_ / "new/deep"), fs::directory_iterator()), 1);
}

TEST_F(OutputFileTest, OneThatIsNotWrittenLeavesNoDirectory) {
  EXPECT_EQ(said(scratch_ / "new/deep/x.json"), "");
  EXPECT_EQ(directory_.num_entries(), 0u);
}

TEST_F(OutputFileTest, WhatIsThereStaysUnlessItIsToBeReplaced) {
  const fs::path file = scratch_ / "x.json";
  write_file_atomically(file, "before");
  EXPECT_EQ(said(file), "output = " + file.string() + " exists: give another name, or remove it");
  EXPECT_EQ(read_file(file), "before");
  OutputFile("output", file, true).write_json("after");
  EXPECT_EQ(read_file(file), "\"after\"\n");
  EXPECT_EQ(directory_.num_entries(), 1u);
}

TEST_F(OutputFileTest, DirectoriesAndLinksToNothingAreRefused) {
  fs::create_directory(scratch_ / "d");
  fs::create_symlink("nowhere", scratch_ / "link");
  fs::create_symlink("d", scratch_ / "to_d");
  for (const bool replaces : {false, true}) {
    EXPECT_NE(said(scratch_ / "d", replaces).find("is a directory"), std::string::npos);
    EXPECT_NE(said(scratch_ / "to_d", replaces).find("is a directory"), std::string::npos);
    EXPECT_NE(said(scratch_ / "d/", replaces).find("is a directory"), std::string::npos);
  }
  EXPECT_NE(said(scratch_ / "link").find("exists"), std::string::npos);
}

TEST_F(OutputFileTest, ASecondProcessIsRefusedAndNamesTheFirst) {
  const fs::path file = scratch_ / "x.json";
  const OutputFile first("output", file, true);
  const pid_t second = ::fork();
  if (second == 0) {
    const std::string message = said(file, true);
    ::_exit(message.find("is in use by process " + std::to_string(::getppid())) != std::string::npos ? 0 : 1);
  }
  int status = 0;
  ::waitpid(second, &status, 0);
  EXPECT_EQ(status, 0);
  first.write_json("of the first");
  EXPECT_EQ(read_file(file), "\"of the first\"\n");
}

}  // namespace
}  // namespace allreco::core
