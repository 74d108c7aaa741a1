#include "core/check.h"

#include <gtest/gtest.h>

namespace allreco::core {
namespace {

TEST(Check, AFaultEndsWithTheLineThatMadeIt) {
  std::string said;
  int line = 0;
  try {
    line = __LINE__ + 1;
    fault("{} of {}", "half", 4);
  } catch (const Fault& e) {
    said = e.what();
  }
  EXPECT_TRUE(said.starts_with("half of 4 [")) << said;
  EXPECT_TRUE(said.ends_with(fmt::format("/check_test.cpp:{}]", line))) << said;
  try {
    line = __LINE__ + 1;
    require(false, "all are here");
  } catch (const Fault& e) {
    said = e.what();
  }
  EXPECT_TRUE(said.starts_with("all are here [")) << said;
  EXPECT_TRUE(said.ends_with(fmt::format("/check_test.cpp:{}]", line))) << said;
  EXPECT_NO_THROW(require(true, "all are here"));
}

TEST(Check, FilesAreNamedFromSrcOn) {
  EXPECT_EQ(with_place("m", {"/usr/src/allreco/src/train/train_step.cpp", 180}), "m [train/train_step.cpp:180]");
  EXPECT_EQ(with_place("m", {"elsewhere/x.cpp", 1}), "m [elsewhere/x.cpp:1]");
}

TEST(Check, AUserErrorIsTheMessageAlone) {
  try {
    user_error("lora_r = {}", 0);
    FAIL() << "nothing was thrown";
  } catch (const UserError& e) {
    EXPECT_STREQ(e.what(), "lora_r = 0");
  }
}

}  // namespace
}  // namespace allreco::core
