#include "core/html.h"

#include <gtest/gtest.h>

#include <string>

namespace allreco::core {
namespace {

TEST(Html, TextsAreNoMarkup) {
  EXPECT_EQ(html_escaped("<script>alert('1')</script> & \"more\""),
            "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;more&quot;");
  EXPECT_EQ(html_escaped("a\x1b[31m\nb\xff"), R"(a\x1b[31m\nb\xff)");
  EXPECT_EQ(html_escaped_lines("<a>\nb\x1b"), "&lt;a&gt;\nb\\x1b");
}

// Of every byte, alone and in an attribute, nothing is left that HTML or XML reads.
TEST(Html, NoByteOfATextIsRead) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text(1, static_cast<char>(byte));
    const std::string code = html("<a title=\"{}\">{}</a>", text, text).code();
    const std::string inner = code.substr(10, code.size() - 14);
    const std::string shown = inner.substr(0, inner.find("\">"));
    EXPECT_EQ(inner, shown + "\">" + shown) << byte;
    EXPECT_EQ(shown.find_first_of("<>\"'"), std::string::npos) << byte;
    if (shown[0] == '&') {
      EXPECT_EQ(shown.back(), ';') << byte;
    }
    for (const char c : shown) EXPECT_TRUE(c >= 0x20 && c < 0x7F) << byte;
  }
}

TEST(Html, PiecesAreEscapedOnce) {
  const Html inner = html("<b>{}</b>", "a & b");
  EXPECT_EQ(html("<p>{} {} {:.1f}</p>", inner, std::string("<"), 2.25).code(), "<p><b>a &amp; b</b> &lt; 2.2</p>");
  Html all = Html::own("<i>");
  all += Html::lines("x\n<");
  EXPECT_EQ(all.code(), "<i>x\n&lt;");
}

}  // namespace
}  // namespace allreco::core
