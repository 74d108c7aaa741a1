#include "data/input/line_fields.h"

#include <gtest/gtest.h>

#include <array>

#include "core/random.h"
#include "data/input/json_lines.h"
#include "data/input/line_reader.h"
#include "data/store/dataset_samples.h"

namespace allreco::data {

namespace {

const std::vector<std::string> kKeys{"a", "text", "\"\\", ""};

/// A line as LineReader hands it out, with bytes behind it that would change its meaning.
class PaddedLine {
 public:
  explicit PaddedLine(const std::string& line) : bytes_(line + std::string(kLinePadding, '}')), size_(line.size()) {}
  std::string_view view() const { return std::string_view(bytes_).substr(0, size_); }

 private:
  std::string bytes_;
  size_t size_;
};

/// What nlohmann's parser says the field is.
void expect_field(const LineField& field, const core::Json& object, const std::string& key, const std::string& line) {
  using Kind = LineField::Kind;
  if (!object.contains(key)) {
    EXPECT_EQ(field.kind, Kind::missing) << line;
    EXPECT_TRUE(field.list.empty()) << line;  // of a line before
    return;
  }
  const core::Json& value = object[key];
  const Kind kind = value.is_null()      ? Kind::null
                    : value.is_boolean() ? Kind::flag
                    : value.is_number()  ? Kind::number
                    : value.is_string()  ? Kind::text
                    : value.is_array()   ? Kind::list
                                         : Kind::object;
  ASSERT_EQ(field.kind, kind) << line;
  if (kind == Kind::flag) {
    EXPECT_EQ(field.flag, value.get<bool>()) << line;
  }
  if (kind == Kind::number) {
    EXPECT_EQ(field.number, value.get<double>()) << line;
  }
  if (kind == Kind::text) {
    EXPECT_EQ(field.text, value.get<std::string>()) << line;
  }
  if (kind != Kind::list) return;
  ASSERT_EQ(field.list.size(), value.size()) << line;
  for (size_t i = 0; i < value.size(); ++i)
    EXPECT_EQ(field.list[i], value[i].is_string() ? value[i].get<std::string>() : "") << line;
}

/// Both parsers say the same; returns whether the line holds an object.
bool agree(FieldParser& parser, const std::string& line) {
  core::Json object;
  const std::string slow = parse_object(line, object);
  const PaddedLine padded(line);
  EXPECT_EQ(parser.parse(padded.view()), slow) << line;
  if (!slow.empty()) return false;
  for (size_t i = 0; i < kKeys.size(); ++i) expect_field(parser[i], object, kKeys[i], line);
  return true;
}

std::string nested(int depth) {
  return "{\"a\":" + std::string(static_cast<size_t>(depth), '[') + std::string(static_cast<size_t>(depth), ']') + "}";
}

}  // namespace

TEST(LineFieldsTest, TakesTheSameLinesAsTheSlowParser) {
  FieldParser parser(kKeys);
  for (const char* line :
       {R"({})", R"({"a":1})", R"( {"a" : -0.5e3 , "text":"\u00e9\ud83d\ude00\n\"\\"} )",
        R"({"a":null,"text":true,"":false})", R"({"\"\\":"escaped key","\u0061":7})", R"({"a":1,"a":"two"})",
        R"({"a":[1,"x",null,["y"],"z"],"a":[]})", R"({"a":{"a":1}})", R"({"a":18446744073709551615})",
        R"({"a":123456789012345678901234567890})", R"({"a":-9223372036854775809,"b":1e-400})",
        R"({"a":1.7976931348623157e308})", "\xEF\xBB\xBF{\"a\":1}"})
    EXPECT_TRUE(agree(parser, line)) << line;
  for (const char* line : {"",
                           "[]",
                           "[{}]",
                           "1",
                           "\"a\"",
                           "null",
                           "{",
                           "}",
                           R"({"a":1)",
                           R"({"a":1}})",
                           R"({"a":1} x)",
                           R"({"a":1}{"a":2})",
                           R"({"a":01})",
                           R"({"a":1.})",
                           R"({"a":.5})",
                           R"({"a":+1})",
                           R"({"a":1e})",
                           R"({"a":1e400})",
                           R"({"b":-1e400})",
                           R"({"a":NaN})",
                           R"({"a":tru})",
                           R"({"b":nul})",
                           R"({"a":"\x"})",
                           R"({"b":"\u12"})",
                           R"({"b":"\ud83d"})",
                           R"({"b":"\ud83d\u0041"})",
                           R"({"b":"\udE00"})",
                           R"({"b":"\ud83d\ude00\uDc00"})",
                           R"({"\udfff":1})",
                           R"({"a":1,})",
                           R"({,})",
                           R"({"a"})",
                           R"({"a" 1})",
                           R"({a:1})",
                           R"({'a':1})",
                           "{\"a\":\"\t\"}",
                           "{\"b\":\"\xff\"}",
                           "{\"b\":\"\xc0\xaf\"}",
                           "{\"b\":\"\xed\xa0\x80\"}",
                           "{\"b\":\"\xf4\x90\x80\x80\"}",
                           "{\"b\":\"\xe2\x82\"}",
                           "{\"a\":1}\v",
                           "\xEF\xBB\xBF"})
    EXPECT_FALSE(agree(parser, line)) << line;
  for (int depth = 95; depth <= 103; ++depth)
    EXPECT_EQ(agree(parser, nested(depth)), depth < core::kMaxJsonDepth) << depth;
  agree(parser, std::string("{\"a\":1}\0", 8));
  agree(parser, std::string("{\"a\":\"\0\"}", 9));
}

// One, two or three bytes of a row as published are changed, taken away or put in: 200,000 lines, of which both kinds
// are many.
TEST(LineFieldsTest, TakesTheSameMutatedLinesAsTheSlowParser) {
  const std::vector<std::string> rows{
      R"({"a": 5.0, "b": true, "text": "09 13, 2009\u00e9 \ud83d\ude00", "r": "A1\\", "n": {"S:": [" 50", null, [1e5]]}, "t": 1252800000, "a": -4})",
      "{\"text\":\"caf\xC3\xA9 \xF0\x9F\x98\x80\",\"a\":[\"x\",\"y\"],\"\":{\"z\":[]},\"u\":0.25}"};
  const std::string alphabet = "{}[]\",:\\u0dDcCeE19+-. \ttrufalsn\x00\x1f\x80\xbf\xc3\xed\xf0\xff";
  core::RandomStream random(7);
  FieldParser parser(kKeys);
  std::array<int, 2> num_lines{};
  for (int i = 0; i < 200'000; ++i) {
    std::string line = rows[random.next_below(rows.size())];
    for (std::uint64_t changes = 1 + random.next_below(3); changes > 0; --changes) {
      const size_t place = random.next_below(line.size());
      const char c = alphabet[random.next_below(alphabet.size())];
      const std::uint64_t kind = random.next_below(3);
      if (kind == 0) line[place] = c;
      if (kind == 1) line.erase(place, 1);
      if (kind == 2) line.insert(place, 1, c);
    }
    ++num_lines[agree(parser, line) ? 1 : 0];
    if (HasFailure()) FAIL() << "line " << i;
  }
  EXPECT_GT(num_lines[0], 20'000);
  EXPECT_GT(num_lines[1], 20'000);
}

}  // namespace allreco::data
