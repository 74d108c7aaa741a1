#include "cli/options.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "core/check.h"
#include "core/files.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::cli {
namespace fs = std::filesystem;

class OptionsTest : public ::testing::Test {
 protected:
  std::string error_of(const std::vector<std::string>& arguments) {
    return support::message_of([&] { list_.parse(arguments); });
  }
  std::string config_file(const std::string& text) {
    const fs::path path = directory_ / "options.cfg";
    core::write_file_atomically(path, text);
    return path.string();
  }
  static void expect_contains(const std::string& text, const std::vector<std::string>& parts) {
    for (const auto& part : parts) EXPECT_NE(text.find(part), std::string::npos) << "no '" << part << "' in: " << text;
  }

  const support::TemporaryDirectory directory_;
  double learning_rate_ = 1e-4;
  std::int64_t max_steps_ = -1;
  std::string dtype_ = "auto";
  bool shuffle_ = true;
  std::vector<std::string> modules_{"all-linear"};
  std::uint64_t seed_ = 42;
  std::string output_dir_;
  core::OptionGroups groups_{{"Training",
                              {{"learning_rate", learning_rate_, core::between(0, 1), "Step size."},
                               {"max_steps", max_steps_, core::special_or(-1, core::between(1, 100)), "Steps."},
                               {"seed", seed_, "Seed."}}},
                             {"Other",
                              {{"dtype", dtype_, {"auto", "float32"}, "Type."},
                               {"shuffle_dataset", shuffle_, "Shuffle."},
                               {"target_modules", modules_, "Modules."},
                               {"output_dir", output_dir_, "Output."}}}};
  OptionList list_{"allreco test", "A test.", {groups_}};
};

TEST_F(OptionsTest, CommandLineWinsOverTheFile) {
  const auto file =
      config_file("# a comment\nlearning_rate = 1e-3\nmax_steps = 5   # inline\nshuffle_dataset = false\n");
  EXPECT_TRUE(list_.parse({"--config", file, "--max_steps", "-1", "--target_modules", "q_proj, v_proj"}));
  EXPECT_EQ(learning_rate_, 1e-3);
  EXPECT_EQ(max_steps_, -1);
  EXPECT_FALSE(shuffle_);
  EXPECT_EQ(modules_, (std::vector<std::string>{"q_proj", "v_proj"}));
  EXPECT_TRUE(list_.parse({"--learning_rate=2e-3"}));
  EXPECT_EQ(learning_rate_, 2e-3);
}

TEST_F(OptionsTest, AFlagAloneIsTrue) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"--shuffle_dataset"}, {"--shuffle_dataset", "--max_steps", "5"}, {"--shuffle_dataset", "true"}}) {
    shuffle_ = false;
    EXPECT_TRUE(list_.parse(arguments));
    EXPECT_TRUE(shuffle_);
  }
  EXPECT_TRUE(list_.parse({"--shuffle_dataset", "false"}));
  EXPECT_FALSE(shuffle_);
  expect_contains(error_of({"--shuffle_dataset", "--shuffle_dataset"}), {"shuffle_dataset", "twice"});
  expect_contains(error_of({"--shuffle_dataset="}), {"shuffle_dataset"});
  expect_contains(error_of({"--output_dir", "--shuffle_dataset"}), {"output_dir", "no value", "--shuffle_dataset"});
  EXPECT_TRUE(list_.parse({"--output_dir", "--strange", "--shuffle_dataset"}));
  EXPECT_EQ(output_dir_, "--strange");
}

TEST_F(OptionsTest, ErrorsNameKeyValueRangeAndTheNearestKey) {
  expect_contains(error_of({"--learning_rat", "1"}), {"learning_rat", "nearest", "learning_rate"});
  expect_contains(error_of({"--learning_rate", "-1"}), {"learning_rate", "-1", "0 to 1", "command line"});
  expect_contains(error_of({"--learning_rate", "fast"}), {"learning_rate", "fast", "number"});
  expect_contains(error_of({"--max_steps", "1.5"}), {"max_steps", "1.5", "whole number"});
  expect_contains(error_of({"--dtype", "float8"}), {"dtype", "float8", "auto", "float32"});
  expect_contains(error_of({"--shuffle_dataset", "maybe"}), {"shuffle_dataset", "maybe", "true or false"});
  expect_contains(error_of({"--seed", "-3"}), {"seed", "-3"});
  expect_contains(error_of({"--max_steps"}), {"max_steps"});
  expect_contains(error_of({"--max_steps", "1", "--max_steps", "2"}), {"max_steps", "twice"});
  expect_contains(error_of({"stray"}), {"stray"});
  expect_contains(error_of({"--config", "/no/such/file.cfg"}), {"/no/such/file.cfg"});
  expect_contains(error_of({"--config", config_file("max_stepz = 1\n")}), {"max_stepz", "max_steps", ".cfg"});
  expect_contains(error_of({"--config", config_file("max_steps 1\n")}), {".cfg", "line 1", "key = value"});
  expect_contains(error_of({"--config", config_file("\nseed = 1\nmax_steps = 0\n")}),
                  {"max_steps = 0", ".cfg", "line 3"});
  expect_contains(error_of({"--config", ""}), {"--config is empty"});
  expect_contains(error_of({"--config="}), {"--config"});
  expect_contains(error_of({"--config", config_file("config = other.cfg\n")}), {"config", ".cfg"});
}

TEST_F(OptionsTest, ResolvedOptionsCanBeReadBack) {
  ASSERT_TRUE(list_.parse(
      {"--max_steps", "7", "--shuffle_dataset", "false", "--output_dir", " a #b\\", "--target_modules", ""}));
  const auto file = config_file(list_.as_config());
  max_steps_ = 0;
  shuffle_ = true;
  output_dir_ = "";
  modules_ = {"all-linear"};
  ASSERT_TRUE(list_.parse({"--config", file}));
  EXPECT_EQ(max_steps_, 7);
  EXPECT_FALSE(shuffle_);
  EXPECT_EQ(output_dir_, " a #b\\");
  EXPECT_TRUE(modules_.empty()) << "an empty value that is not the default is written, too";
}

TEST_F(OptionsTest, HelpListsEveryOptionWithItsDefaultInGroups) {
  EXPECT_FALSE(list_.parse({"--help"}));
  EXPECT_FALSE(list_.parse({"--max_steps", "7", "--help"}));
  const std::string help = list_.help();
  expect_contains(help, {"--learning_rate  (0 to 1)", "0.0001", "--dtype", "auto | float32", "Steps."});
  EXPECT_LT(help.find("Training:"), help.find("--seed"));
  EXPECT_LT(help.find("--seed"), help.find("Other:"));
  EXPECT_LT(help.find("Other:"), help.find("--dtype"));
}

}  // namespace allreco::cli
