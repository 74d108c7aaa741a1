#include "cli/config_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "core/check.h"
#include "support/message_of.h"

namespace allreco::cli {
namespace {

std::string value_of(const std::string& text) {
  const auto entries = parse_config(text, "x.cfg");
  if (entries.size() != 1) throw std::runtime_error("expected one entry in " + text);
  EXPECT_EQ(entries[0].key, "key");
  return entries[0].value;
}

std::string error_of(const std::string& text) {
  return support::message_of([&] { parse_config(text, "x.cfg"); });
}

// What files without quotes meant before there were any.
TEST(ConfigFile, UnquotedValuesGoToTheCommentWithoutTheBlanksAround) {
  EXPECT_EQ(value_of("key = a b"), "a b");
  EXPECT_EQ(value_of("  key=a\t # comment\r\n"), "a");
  EXPECT_EQ(value_of("# first\n\n key = a=b\n"), "a=b");
  EXPECT_EQ(value_of("key = \n"), "");
  EXPECT_EQ(value_of("key = C:\\new \"dir\"\n"), "C:\\new \"dir\"") << "only a quote in front quotes";
  EXPECT_EQ(value_of("key = .*\\.q_proj\n"), ".*\\.q_proj");
  EXPECT_EQ(value_of("\xef\xbb\xbfkey = a\n"), "a") << "a byte order mark is skipped";
  EXPECT_TRUE(parse_config("", "x.cfg").empty());
  EXPECT_EQ(parse_config("a = 1\n#\nb = 2", "x.cfg")[1].line, 3u);
}

TEST(ConfigFile, QuotedValuesHoldAnything) {
  EXPECT_EQ(value_of("key = \" a #b \"  # comment\n"), " a #b ");
  EXPECT_EQ(value_of(R"(key = "\"\\\n\r\t\x00\xff")"), std::string("\"\\\n\r\t\0\xff", 7));
  EXPECT_EQ(value_of("key = \"\""), "");
}

TEST(ConfigFile, ErrorsNameFileAndLine) {
  const std::vector<std::pair<std::string, std::string>> mistakes{
      {"a = 1\nkey\n", "line 2"},
      {"= 1\n", "line 1"},
      {"[section]\n", "key = value"},
      {"a # b = 1\n", "key = value"},
      {"a = 1\nb = 2\na = 3\n", "a is there twice, in lines 1 and 3"},
      {"key = \"abc\n", "closing quote"},
      {"key = \"abc\\\n", "backslash"},
      {"key = \"a\" b\n", "behind the closing quote"},
      {"key = \"\\q\"\n", "\\q"},
      {"key = \"\\xfg\"\n", "\\x"},
      {"key = \"\\xf\"\n", "x.cfg"},
      {std::string("\xff\xfe"
                   "k\0",
                   4),
       "UTF-16"},
  };
  for (const auto& [text, part] : mistakes) {
    const std::string message = error_of(text);
    EXPECT_NE(message.find(part), std::string::npos) << text << ": " << message;
    EXPECT_NE(message.find("x.cfg"), std::string::npos) << message;
  }
}

TEST(ConfigFile, PlainValuesAreWrittenPlainly) {
  EXPECT_EQ(config_line("lora_r", "16"), "lora_r = 16\n");
  EXPECT_EQ(config_line("output_dir", "out/a b"), "output_dir = out/a b\n");
  EXPECT_EQ(config_line("output_dir", "out/a #b"), "output_dir = \"out/a #b\"\n");
  EXPECT_EQ(config_line("target_modules", ".*\\.q_proj"), "target_modules = .*\\.q_proj\n");
  EXPECT_EQ(config_line("dataset", "días"), "dataset = días\n");
}

TEST(ConfigFile, EveryValueComesBack) {
  std::mt19937 random(7);
  // Often what could be mistaken for the format, else any byte.
  const std::string special = " \t\n\r#\"\\'=[]x0";
  for (int i = 0; i < 20000; ++i) {
    std::string value;
    const size_t length = random() % 12;
    while (value.size() < length)
      value += random() % 3 ? special[random() % special.size()] : static_cast<char>(random() % 256);
    const std::string line = config_line("key", value);
    EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1) << line;
    ASSERT_EQ(value_of(line), value) << line;
    ASSERT_EQ(value_of("\n# a comment\n" + line + "\n"), value) << line;
  }
}

}  // namespace
}  // namespace allreco::cli
