// Every numeric option of every command, as --help lists them, against what it must refuse before any work.
#include <gtest/gtest.h>

#include <regex>
#include <sstream>

#include "cli/commands.h"
#include "core/check.h"
#include "support/lone_session.h"
#include "support/message_of.h"

namespace allreco::cli {
namespace {

struct Numeric {
  std::string name, range;
  std::vector<std::string> beyond;  // numbers just outside
};

/// "--name  (1 to 10)" of the help, and the two other forms; none for options that are no numbers.
std::vector<Numeric> numeric_options(const std::string& help) {
  const std::string number = R"((-?[0-9][0-9.e+-]*))";
  const std::regex line("  --(\\w+)  \\(((?:-?[0-9]+, or )?(?:" + number + " to " + number + "|above " + number +
                        " and at most " + number + "|at least " + number + " and below " + number + "))\\)");
  std::vector<Numeric> options;
  std::istringstream lines(help);
  for (std::string text; std::getline(lines, text);) {
    std::smatch match;
    if (!std::regex_match(text, match, line)) continue;
    Numeric option{match[1], match[2], {}};
    if (match[3].matched)
      option.beyond = {std::to_string(std::stoll(match[3]) - 3), std::to_string(std::stoll(match[4]) + 1)};
    if (match[5].matched) option.beyond = {match[5], std::to_string(std::stoll(match[6]) + 1)};
    if (match[7].matched) option.beyond = {"-1", match[8]};
    options.push_back(option);
  }
  return options;
}

std::string refusal(dist::Session& session, const Command& command, const Arguments& arguments) {
  return support::message_of([&] { command.run(session, arguments); });
}

TEST(OptionRanges, EveryNumberOfEveryCommandIsRefusedOutsideItsRange) {
  support::LoneSession lone;
  size_t tested = 0;
  for (const Command& command : commands()) {
    ::testing::internal::CaptureStdout();
    ASSERT_EQ(command.run(lone.get(), {"--help"}), kExitDone);
    std::fflush(stdout);
    const std::string help = ::testing::internal::GetCapturedStdout();
    for (const Numeric& option : numeric_options(help)) {
      std::vector<std::string> values = option.beyond;
      for (const char* value : {"nan", "-nan", "inf", "-inf", "1e300", "-1e300", "1e999", "many", "1x", ""})
        values.emplace_back(value);
      for (const std::string& value : values) {
        const std::string message = refusal(lone.get(), command, {"--" + option.name, value});
        EXPECT_TRUE(message.starts_with(option.name + " = " + (value.empty() ? "\"\"" : value) + ": expected"))
            << command.name << " --" << option.name << " " << value << ": " << message;
        EXPECT_NE(message.find(option.range), std::string::npos) << message << " without " << option.range;
      }
      ++tested;
    }
    for (const char* hidden : {"lora_r", "learning_rate", "threads", "bootstrap_samples", "max_length"}) {
      const std::string text = std::string("--") + hidden + "\n";
      EXPECT_EQ(help.find(text), std::string::npos) << "a number without a range: " << text;
    }
  }
  EXPECT_GT(tested, 50u) << "the help is not understood";
}

}  // namespace
}  // namespace allreco::cli
