#include "core/users_mistake.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "core/check.h"
#include "core/json.h"

namespace allreco::core {
namespace {

namespace fs = std::filesystem;

std::optional<std::string> judge(const std::function<void()>& fail) {
  try {
    fail();
  } catch (const std::exception& e) {
    return users_mistake(e);
  }
  ADD_FAILURE() << "nothing was thrown";
  return std::nullopt;
}

TEST(UsersMistake, IsWhatTheUserCanRepair) {
  EXPECT_EQ(judge([] { user_error("lora_r = 0"); }), "lora_r = 0");
  const auto too_long = judge([] { (void)fs::is_directory(fs::status(std::string(5000, 'x'))); });
  ASSERT_TRUE(too_long.has_value());
  EXPECT_NE(too_long->find("too long"), std::string::npos) << *too_long;
  EXPECT_TRUE(judge([] { fs::directory_iterator("/no/such/directory"); }).has_value());
  EXPECT_TRUE(judge([] { (void)Json("\xff").dump(); }).has_value()) << "a name that is not UTF-8";
  EXPECT_TRUE(judge([] { (void)Json{{"a", 1}}.at("b"); }).has_value());
}

// Paths and keys are text from outside, and these messages are not made by core::message.
TEST(UsersMistake, StaysOneLine) {
  for (const auto& message :
       {judge([] { (void)fs::is_directory(fs::status("a\n\x1b[2J" + std::string(5000, 'x'))); }), judge([] {
          (void)Json{{"a", 1}}.at("b\n\x1b[2J");
        })}) {
    ASSERT_TRUE(message.has_value());
    EXPECT_NE(message->find("\\n\\x1b[2J"), std::string::npos) << *message;
    EXPECT_EQ(message->find_first_of("\n\x1b"), std::string::npos) << *message;
  }
}

TEST(UsersMistake, IsNotWhatAnotherTryMayRepair) {
  EXPECT_FALSE(judge([] { fault("broken"); }).has_value());
  EXPECT_FALSE(judge([] { throw std::bad_alloc(); }).has_value());
  EXPECT_FALSE(
      judge([] { throw fs::filesystem_error("read", "/x", std::make_error_code(std::errc::io_error)); }).has_value());
}

}  // namespace
}  // namespace allreco::core
