// Every numeric option of every command, as --help lists it: what it must refuse before any work, and what it must
// take, up to both ends of the range that the help gives.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <regex>
#include <sstream>

#include "cli/commands.h"
#include "core/check.h"
#include "support/lone_session.h"
#include "support/message_of.h"

namespace allreco::cli {
namespace {

/// One end of a range, as the help writes it.
struct End {
  std::string text;
  bool is_open = false;
};

struct Numeric {
  std::string name, range;
  std::string before;  // of a value on the command line: "key=" where the option takes pairs
  bool is_list = false;
  std::string special;
  End low, high;
  std::string in_message() const { return before.empty() ? name + " = " : name + ": key = "; }
};

/// "--name  (1 to 10)" of the help and the other forms; none for options that are no numbers.
std::vector<Numeric> numeric_options(const std::string& help) {
  const std::string number = R"((-?[0-9][0-9.e+-]*))";
  const std::regex line("  --(\\w+)  \\((comma-separated, each |key=value, comma-separated, each value )?((?:" +
                        number + ", or )?(?:" + number + " to " + number + "|above " + number + " and at most " +
                        number + "|at least " + number + " and below " + number + "))\\)");
  std::vector<Numeric> options;
  std::istringstream lines(help);
  for (std::string text; std::getline(lines, text);) {
    std::smatch match;
    if (!std::regex_match(text, match, line)) continue;
    Numeric option{match[1], match[3], match[2].str().starts_with("key") ? "key=" : "", match[2].matched, match[4],
                   {},       {}};
    const int at = match[5].matched ? 5 : match[7].matched ? 7 : 9;
    option.low = {match[at], at == 7};
    option.high = {match[at + 1], at == 9};
    options.push_back(option);
  }
  return options;
}

/// The next number that the option's type has beyond `text`, in the direction of `sign`. A long double holds every
/// whole number up to 2^64.
std::string next_to(const std::string& text, int sign, bool is_whole) {
  if (is_whole) return fmt::format("{:.0f}", std::strtold(text.c_str(), nullptr) + sign);
  return fmt::format(
      "{}", std::nextafter(std::strtod(text.c_str(), nullptr), sign * std::numeric_limits<double>::infinity()));
}

class OptionRanges : public ::testing::Test {
 protected:
  std::string said(const Command& command, const Arguments& arguments) {
    return support::message_of([&] { command.run(lone_.get(), arguments); });
  }
  std::string help_of(const Command& command) {
    ::testing::internal::CaptureStdout();
    EXPECT_EQ(command.run(lone_.get(), {"--help"}), kExitDone);
    std::fflush(stdout);
    return ::testing::internal::GetCapturedStdout();
  }
  void expect_refused(const Command& command, const Numeric& option, const std::string& value) {
    const std::string message = said(command, {"--" + option.name, option.before + value});
    EXPECT_TRUE(message.starts_with(option.in_message() + (value.empty() ? "\"\"" : value) + ": expected"))
        << command.name << " --" << option.name << " " << value << ": " << message;
    EXPECT_NE(message.find(option.range), std::string::npos) << message << " without " << option.range;
  }
  /// A second option, which is refused whatever it is, shows that the first one was not. And what comes after the
  /// options are read has nothing against it either: the command misses what it needs to begin.
  void expect_taken(const Command& command, const Numeric& option, const std::string& value, const std::string& other) {
    const std::string argument = option.before + value;
    EXPECT_TRUE(said(command, {"--" + option.name, argument, "--" + other, std::string(1, '\0')}).starts_with(other))
        << command.name << " --" << option.name << " " << value;
    const std::string message = said(command, {"--" + option.name, argument});
    EXPECT_FALSE(message.starts_with(option.in_message())) << command.name << ": " << message;
  }

  support::LoneSession lone_;
};

TEST_F(OptionRanges, EveryNumberOfEveryCommandIsRefusedOutsideItsRange) {
  size_t tested = 0;
  for (const Command& command : commands()) {
    const std::string help = help_of(command);
    for (const Numeric& option : numeric_options(help)) {
      for (const char* value : {"nan", "-nan", "inf", "-inf", "1e300", "-1e300", "1e999", "many", "1x"})
        expect_refused(command, option, value);
      if (!option.is_list) expect_refused(command, option, "");
      ++tested;
    }
    for (const char* hidden : {"lora_r", "learning_rate", "threads", "bootstrap_samples", "max_length"}) {
      const std::string text = std::string("--") + hidden + "\n";
      EXPECT_EQ(help.find(text), std::string::npos) << "a number without a range: " << text;
    }
  }
  EXPECT_GT(tested, 50u) << "the help is not understood";
}

TEST_F(OptionRanges, BothEndsAreWhereTheHelpSays) {
  for (const Command& command : commands()) {
    const std::string help = help_of(command);
    for (const Numeric& option : numeric_options(help)) {
      const bool is_whole =
          said(command, {"--" + option.name, option.before + "many"}).find("a whole number") != std::string::npos;
      const auto has = [&](const char* name) { return help.find(fmt::format("--{}\n", name)) != std::string::npos; };
      const std::string other = has("output_dir") ? "output_dir"
                                : has("dataset")  ? "dataset"
                                : has("path")     ? "path"
                                                  : "output";
      for (const auto& [end, outward] : {std::pair{option.low, -1}, std::pair{option.high, 1}}) {
        const std::string beyond = next_to(end.text, outward, is_whole);
        if (end.is_open) {
          expect_refused(command, option, end.text);
          expect_taken(command, option, next_to(end.text, -outward, is_whole), other);
        } else {
          if (beyond != option.special) expect_refused(command, option, beyond);
          expect_taken(command, option, end.text, other);
        }
      }
      if (!option.special.empty()) expect_taken(command, option, option.special, other);
    }
  }
}

}  // namespace
}  // namespace allreco::cli
