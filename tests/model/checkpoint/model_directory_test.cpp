#include "model/checkpoint/model_directory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "core/files.h"
#include "model/golden.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::model {
namespace fs = std::filesystem;

namespace {

class Companions : public ::testing::Test {
 protected:
  fs::path write(const std::string& name, const std::string& text) const {
    fs::create_directories((root() / name).parent_path());
    core::write_file_atomically(root() / name, text);
    return root() / name;
  }
  fs::path root() const { return directory_.path(); }
  void copy(const std::string& from) const {
    fs::remove_all(root() / "TO");
    fs::create_directory(root() / "TO");
    copy_companions(root() / from, root() / "TO", "TO");
  }
  std::string error_of(const std::string& from) const {
    return support::message_of([&] { copy(from); });
  }
  std::string copied(const std::string& name) const { return core::read_file(root() / "TO" / name); }
  support::TemporaryDirectory directory_;
};

}  // namespace

TEST_F(Companions, AreCopiedAndNothingElse) {
  write("M/tokenizer.model", "pieces");
  write("M/NOTICE.txt", "notice");
  write("M/model.safetensors", "weights");
  fs::create_symlink("NOTICE.txt", root() / "M/LICENSE");
  fs::create_directory(root() / "M/LICENSES");
  copy("M");
  EXPECT_EQ(copied("tokenizer.model"), "pieces");
  EXPECT_EQ(copied("LICENSE"), "notice");
  EXPECT_FALSE(fs::is_symlink(root() / "TO/LICENSE"));
  EXPECT_FALSE(fs::exists(root() / "TO/model.safetensors"));
}

TEST_F(Companions, ALinkOutOfTheModelIsRefused) {
  const fs::path secret = write("secret", "a key");
  write("M/tokenizer.model", "pieces");
  for (const fs::path& target : {secret, fs::path("../secret"), fs::path("/etc/hostname")}) {
    fs::create_symlink(target, root() / "M/LICENSE");
    EXPECT_NE(error_of("M").find("M/LICENSE is a link that leads out of its model"), std::string::npos) << target;
    EXPECT_FALSE(fs::exists(root() / "TO/LICENSE"));
    fs::remove(root() / "M/LICENSE");
  }
  fs::create_symlink("nothing", root() / "M/LICENSE");
  EXPECT_NE(error_of("M").find("link to nothing"), std::string::npos);
  fs::remove(root() / "M/LICENSE");
  ASSERT_EQ(::mkfifo((root() / "M/LICENSE").c_str(), 0600), 0);
  EXPECT_NE(error_of("M").find("a FIFO"), std::string::npos);
}

// Once it was passed over, and the model was written without its tokenizer.
TEST_F(Companions, ADirectoryInThePlaceOfATokenizerFileIsRefused) {
  fs::create_directories(root() / "M/tokenizer.model");
  EXPECT_NE(error_of("M").find("tokenizer.model: it is a directory"), std::string::npos);
}

// Hugging Face's cache: models--ORG--NAME/{blobs/HASH, snapshots/REVISION/FILE -> ../../blobs/HASH}.
TEST_F(Companions, LinksOfASnapshotLeadIntoItsOwnPartOfTheCache) {
  const std::string snapshot = "hub/models--org--name/snapshots/abc";
  fs::create_directories(root() / snapshot);
  write("hub/models--org--name/blobs/123", "a licence");
  write("hub/models--org--other/blobs/456", "of another model");
  fs::create_symlink("../../blobs/123", root() / snapshot / "LICENSE");
  copy(snapshot);
  EXPECT_EQ(copied("LICENSE"), "a licence");
  fs::create_directory_symlink(root() / snapshot, root() / "M");  // as users link to a snapshot
  copy("M");
  EXPECT_EQ(copied("LICENSE"), "a licence");
  fs::create_symlink("../../../models--org--other/blobs/456", root() / snapshot / "NOTICE");
  EXPECT_NE(error_of(snapshot).find("NOTICE is a link that leads out"), std::string::npos);
}

}  // namespace allreco::model
