#include "core/check.h"

#include <gtest/gtest.h>

#include "support/message_of.h"

namespace allreco::core {
namespace {

TEST(Check, AFaultEndsWithTheLineThatMadeIt) {
  // Every call stands in the line of its lambda.
  const std::string fault_said = support::message_of<Fault>([] { fault("{} of {}", "half", 4); });
  EXPECT_EQ(fault_said.substr(fault_said.rfind('/')), fmt::format("/check_test.cpp:{}]", __LINE__ - 1)) << fault_said;
  EXPECT_TRUE(fault_said.starts_with("half of 4 [")) << fault_said;
  const std::string require_said = support::message_of<Fault>([] { require(false, "all are here"); });
  EXPECT_EQ(require_said.substr(require_said.rfind('/')), fmt::format("/check_test.cpp:{}]", __LINE__ - 1));
  EXPECT_TRUE(require_said.starts_with("all are here [")) << require_said;
  EXPECT_NO_THROW(require(true, "all are here"));
}

TEST(Check, FilesAreNamedFromSrcOn) {
  EXPECT_EQ(with_place("m", {"/usr/src/allreco/src/train/train_step.cpp", 180}), "m [train/train_step.cpp:180]");
  EXPECT_EQ(with_place("m", {"elsewhere/x.cpp", 1}), "m [elsewhere/x.cpp:1]");
}

TEST(Check, AUserErrorIsTheMessageAlone) {
  EXPECT_EQ(support::message_of([] { user_error("lora_r = {}", 0); }), "lora_r = 0");
}

}  // namespace
}  // namespace allreco::core
