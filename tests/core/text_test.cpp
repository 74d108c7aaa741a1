#include "core/text.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <string>

#include "core/check.h"
#include "core/json.h"
#include "support/message_of.h"

namespace allreco::core {
namespace {

std::string utf8(std::uint32_t c) {
  const auto byte = [](std::uint32_t value) { return static_cast<char>(value); };
  if (c < 0x80) return {byte(c)};
  if (c < 0x800) return {byte(0xC0 | c >> 6), byte(0x80 | (c & 0x3F))};
  if (c < 0x10000) return {byte(0xE0 | c >> 12), byte(0x80 | (c >> 6 & 0x3F)), byte(0x80 | (c & 0x3F))};
  return {byte(0xF0 | c >> 18), byte(0x80 | (c >> 12 & 0x3F)), byte(0x80 | (c >> 6 & 0x3F)), byte(0x80 | (c & 0x3F))};
}

// By Unicode's tables: general category Cc, property Bidi_Control, line and paragraph separator, byte order mark.
constexpr std::array<std::array<std::uint32_t, 2>, 8> kActing{{{0x00, 0x1F},
                                                               {0x7F, 0x9F},
                                                               {0x61C, 0x61C},
                                                               {0x200E, 0x200F},
                                                               {0x2028, 0x202E},
                                                               {0x2066, 0x2069},
                                                               {0xFEFF, 0xFEFF},
                                                               {0xFEFF, 0xFEFF}}};

TEST(Text, EveryCodePointIsKeptOrWrittenInAscii) {
  for (std::uint32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    bool is_acting = false;
    for (const auto& [first, last] : kActing) is_acting = is_acting || (first <= c && c <= last);
    const std::string shown_text = printable(utf8(c));
    if (is_acting) {
      for (const char byte : shown_text) ASSERT_TRUE(byte >= 0x20 && byte < 0x7F) << c;
    } else {
      ASSERT_EQ(shown_text, utf8(c)) << c;
    }
  }
}

TEST(Text, NamesWhatItEscapes) {
  EXPECT_EQ(printable("a\x1b[31mb\nc\r\td\x7f"), R"(a\x1b[31mb\nc\r\td\x7f)");
  EXPECT_EQ(printable("\xc2\x9b"
                      "2J \xe2\x80\xae"
                      "fdp.exe"),
            R"(\x9b2J \u202efdp.exe)");
  EXPECT_EQ(printable(std::string_view("\0x", 2)), R"(\x00x)");
  EXPECT_EQ(printable_lines("a\nb\x1b"), "a\nb\\x1b");
  EXPECT_EQ(printable(printable("a\n\x1b")), printable("a\n\x1b"));
}

TEST(Text, BytesThatAreNoUtf8AreWrittenAsBytes) {
  EXPECT_EQ(printable("\xff\x80 \xc3"), R"(\xff\x80 \xc3)");
  EXPECT_EQ(printable("\xc0\x8a"), R"(\xc0\x8a)") << "an overlong line end";
  EXPECT_EQ(printable("\xed\xa0\x80"), R"(\xed\xa0\x80)") << "a surrogate";
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), R"(\xf4\x90\x80\x80)") << "above U+10FFFF";
  EXPECT_EQ(printable("\xe2\x80"), R"(\xe2\x80)") << "cut off";
}

TEST(Text, ArgumentsOfMessagesCannotStartALine) {
  const std::string path = "a\nERROR b\x1b[2J";
  EXPECT_EQ(message("cannot read {}:\n{:>4} {}", path, 12, "c\n"), "cannot read a\\nERROR b\\x1b[2J:\n  12 c\\n");
  EXPECT_EQ(support::message_of([&] { user_error("{}", path); }), "a\\nERROR b\\x1b[2J");
  const std::string fault_message = support::message_of<Fault>([&] { fault("{}", path); });
  EXPECT_TRUE(fault_message.starts_with("a\\nERROR b\\x1b[2J [")) << fault_message;
}

// JSON's strings are YAML's double-quoted ones, so a JSON parser can read them back; only \x is YAML's own.
TEST(Text, YamlGetsTheTextBack) {
  const std::string text = "x\"\n- y: {z}\\ # 'é'";
  EXPECT_EQ(Json::parse(yaml_quoted(text)).get<std::string>(), text);
  EXPECT_EQ(yaml_quoted("a\x1b\xff"), R"("a\x1b\uFFFD")");
  EXPECT_EQ(yaml_quoted("---\n"), R"("---\n")");
}

TEST(Text, MarkdownStaysOneLineOfText) {
  EXPECT_EQ(markdown_escaped("<script>*a*[b](c)`d`_e_|"), R"(\<script\>\*a\*\[b\](c)\`d\`\_e\_\|)");
  EXPECT_EQ(markdown_escaped("a\n# b"), R"(a\\n\# b)");
}

TEST(Text, NothingEndsACodeBlock) {
  EXPECT_EQ(markdown_code_block("a\n"), "```\na\n```\n");
  EXPECT_EQ(markdown_code_block("a"), "```\na\n```\n");
  EXPECT_EQ(markdown_code_block("```\n<script>\n````\n\x1b"), "`````\n```\n<script>\n````\n\\x1b\n`````\n");
}

}  // namespace
}  // namespace allreco::core
