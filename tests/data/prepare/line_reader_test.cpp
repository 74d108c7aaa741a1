#include "data/prepare/line_reader.h"

#include <gtest/gtest.h>

#include "data/prepare/json_lines.h"
#include "data/prepare/text_files.h"
#include "data/store/dataset_samples.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::data {

class LineReaderTest : public ::testing::Test {
 protected:
  std::filesystem::path file(const std::string& name) const { return scratch_.path() / name; }
  std::filesystem::path written(const std::string& name, const std::string& bytes) const {
    overwrite(file(name), bytes);
    return file(name);
  }
  static std::vector<std::string> all_lines(const std::filesystem::path& path) {
    LineReader reader(path);
    std::vector<std::string> lines;
    std::string line;
    while (reader.next(line)) {
      lines.push_back(line);
      EXPECT_EQ(reader.line_number(), static_cast<std::int64_t>(lines.size()));
    }
    EXPECT_FALSE(reader.next(line));
    return lines;
  }

 private:
  support::TemporaryDirectory scratch_;
};

TEST_F(LineReaderTest, ReadsPlainAndCompressedLinesOfAnyLength) {
  const std::string long_line(1'000'000, 'x');  // longer than any buffer
  const std::vector<std::string> expected = {"a", "", long_line, "last"};
  const std::string text = "a\n\r\n" + long_line + "\r\nlast";
  write_gz(file("a.gz"), text);
  EXPECT_EQ(all_lines(file("a.gz")), expected);
  EXPECT_EQ(all_lines(written("a", text)), expected);
  EXPECT_EQ(all_lines(written("b", text + "\n")), expected);
  EXPECT_TRUE(all_lines(written("empty", "")).empty());
  write_gz(file("empty.gz"), "");
  EXPECT_TRUE(all_lines(file("empty.gz")).empty());
}

TEST_F(LineReaderTest, NamesFileAndLineOfDamagedCompressedData) {
  write_gz(file("whole.gz"), noisy_lines(20'000));
  const std::string bytes = core::read_file(file("whole.gz"));
  for (const double share : {0.0001, 0.3, 0.9, 0.999999}) {
    const auto size = static_cast<size_t>(static_cast<double>(bytes.size()) * share);
    written("cut.gz", bytes.substr(0, size));
    const std::string message = support::message_of([&] { all_lines(file("cut.gz")); });
    EXPECT_TRUE(contains(message, "cut.gz") && contains(message, "ends early, in line ")) << message;
  }
  // Where the data is cut, the lines before it count: a third of the bytes is about a third of the 20,000 lines.
  written("third.gz", bytes.substr(0, bytes.size() / 3));
  LineReader third(file("third.gz"));
  std::string line;
  EXPECT_THROW(while (third.next(line)){}, core::UserError);
  EXPECT_NEAR(static_cast<double>(third.line_number()), 20'000 / 3.0, 500);

  std::string flipped = bytes;
  flipped[bytes.size() / 2] = static_cast<char>(flipped[bytes.size() / 2] ^ 0x10);
  const std::string message = support::message_of([&] { all_lines(written("flipped.gz", flipped)); });
  EXPECT_TRUE(contains(message, "flipped.gz") && contains(message, "line ") && contains(message, "damaged")) << message;
}

TEST_F(LineReaderTest, RefusesWhatIsNoReadableFile) {
  EXPECT_TRUE(contains(support::message_of([&] { LineReader(file("none.gz")); }), "No such file"));
  EXPECT_TRUE(contains(support::message_of([&] { LineReader(file("")); }), "directory"));
  EXPECT_TRUE(
      contains(support::message_of([&] { LineReader(written("page.gz", "<html>not found")); }), "not gzip data"));
  EXPECT_TRUE(contains(support::message_of([&] { LineReader(written("empty.gz", "")); }), "not gzip data"));
}

TEST_F(LineReaderTest, JsonLinesCountsMalformedLinesWithTheirNumbers) {
  const auto path =
      written("rows.jsonl", "{\"n\":1}\n\nnot json\n[1]\n{\"n\":2}\n{\"n\":3\n{'n': 4}\n{\"n\":5}\n{\"x\":\"\xff\"}");
  JsonLines lines(path, 0.75);
  core::Json row;
  std::vector<int> seen;
  while (lines.next(row)) {
    seen.push_back(row["n"]);
    if (row["n"] == 5) lines.reject("five");
  }
  EXPECT_EQ(seen, (std::vector<int>{1, 2, 5}));
  const core::Json report = lines.report();
  EXPECT_EQ(report["lines"], 8);  // the blank one does not count
  EXPECT_EQ(report["malformed"], 6);
  std::vector<int> numbers;
  for (const auto& bad : report["first_malformed"]) numbers.push_back(bad["line"]);
  EXPECT_EQ(numbers, (std::vector<int>{3, 4, 6, 7, 8, 9}));
  EXPECT_TRUE(contains(report["first_malformed"][3]["reason"], "Python"));
}

TEST_F(LineReaderTest, TooManyMalformedLinesEndTheRun) {
  std::string text;
  for (int i = 0; i < 99; ++i) text += "{}\n";
  const auto read_all = [](const std::filesystem::path& path) {
    JsonLines lines(path, 0.01);
    core::Json row;
    while (lines.next(row)) {
    }
    return lines.num_bad();
  };
  EXPECT_EQ(read_all(written("one", text + "oops\n")), 1);  // exactly the allowed share
  const std::string message = support::message_of([&] { read_all(written("two", text + "oops\nno\n")); });
  EXPECT_TRUE(contains(message, "2 of 101 lines") && contains(message, "line 100") &&
              contains(message, "max_bad_line_share"))
      << message;
  // A file of another kind is given up after 1000 lines.
  std::string prose;
  for (int i = 0; i < 5000; ++i) prose += "once upon a time\n";
  EXPECT_TRUE(contains(support::message_of([&] { read_all(written("prose", prose)); }), "1000 of 1000 lines"));
}

TEST_F(LineReaderTest, LinesWithoutEndAreRefused) {
  std::string line;
  const auto path = written("long", std::string(kLongestLine, 'x') + "\n" + std::string(kLongestLine + 1, 'y'));
  LineReader reader(path);
  EXPECT_TRUE(reader.next(line));
  EXPECT_EQ(line.size(), kLongestLine);
  EXPECT_TRUE(contains(support::message_of([&] { reader.next(line); }), "line 2 has more than 67108864 bytes"));
}

TEST_F(LineReaderTest, RowsThatNestDeeplyAreMalformed) {
  JsonLines lines(written("deep", "{\"a\":" + std::string(1 << 20, '[') + "\n{}\n"), 1);
  core::Json row;
  EXPECT_TRUE(lines.next(row));
  EXPECT_EQ(lines.num_bad(), 1);
}

}  // namespace allreco::data
