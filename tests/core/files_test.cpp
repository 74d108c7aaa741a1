#include "core/files.h"

#include <gtest/gtest.h>

#include "core/check.h"
#include "core/json.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::core {
namespace fs = std::filesystem;

class FilesTest : public ::testing::Test {
 protected:
  size_t num_entries() const { return directory_.num_entries(); }
  const support::TemporaryDirectory directory_;
};

TEST_F(FilesTest, WritesWholeFilesAndReplacesThem) {
  write_file_atomically(directory_ / "a", "one");
  write_file_atomically(directory_ / "a", "two");
  EXPECT_EQ(read_file(directory_ / "a"), "two");
  EXPECT_EQ(num_entries(), 1u);
}

TEST_F(FilesTest, AFailedWriteLeavesTheOldFileAndNothingElse) {
  write_file_atomically(directory_ / "a", "old");
  EXPECT_THROW(write_atomically(directory_ / "a",
                                [](const fs::path& temporary) {
                                  write_file_atomically(temporary, "half");
                                  user_error("disk full");
                                }),
               UserError);
  EXPECT_EQ(read_file(directory_ / "a"), "old");
  EXPECT_EQ(num_entries(), 1u);
}

TEST_F(FilesTest, MissingDirectoryIsAUserErrorThatNamesThePath) {
  const std::string message = support::message_of([&] { write_file_atomically(directory_ / "missing" / "a", "x"); });
  EXPECT_NE(message.find("missing"), std::string::npos) << message;
}

// FIPS 180-2, appendix B.1.
TEST_F(FilesTest, Sha256OfAbc) {
  const std::string expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  EXPECT_EQ(sha256_of_bytes("abc"), expected);
  write_file_atomically(directory_ / "abc", "abc");
  EXPECT_EQ(sha256_of_file(directory_ / "abc"), expected);
}

TEST_F(FilesTest, MalformedJsonNamesTheFile) {
  write_file_atomically(directory_ / "x.json", "{\"a\": ");
  const std::string message = support::message_of([&] { read_json_file(directory_ / "x.json"); });
  EXPECT_NE(message.find("x.json"), std::string::npos) << message;
  EXPECT_THROW(read_json_file(directory_ / "none.json"), UserError);
}

}  // namespace allreco::core
