#include "data/input/line_reader.h"

#include <gtest/gtest.h>

#include "data/input/line_counts.h"
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

TEST_F(LineReaderTest, ReadsFilesOfSeveralMembersOrFrames) {
  const std::string text = noisy_lines(20'000);
  const auto expected = all_lines(written("plain", text));
  // Cut within lines; an empty one in the middle.
  std::string members, frames;
  for (const auto& piece : {text.substr(0, 5), std::string(), text.substr(5, 700'001), text.substr(700'006)}) {
    write_gz(file("one.gz"), piece);
    members += core::read_file(file("one.gz"));
    frames += zstd_frame(piece);
  }
  EXPECT_EQ(all_lines(written("members.gz", members)), expected);
  EXPECT_EQ(all_lines(written("padded.gz", members + std::string(1000, '\0'))), expected);  // as tapes are
  EXPECT_EQ(all_lines(written("frames.zst", frames)), expected);
  const std::string skippable("\x50\x2a\x4d\x18\x03\0\0\0abc", 11);  // RFC 8878, 3.1.2
  EXPECT_EQ(all_lines(written("skipped.zst", frames + skippable)), expected);
  EXPECT_EQ(all_lines(written("named otherwise", frames)), expected);
}

TEST_F(LineReaderTest, WhatFollowsCompressedDataIsNotLost) {
  write_gz(file("whole.gz"), "a\nb\n");
  const std::string member = core::read_file(file("whole.gz"));
  for (const std::string& garbage : {std::string("c\n"), std::string("\0\0x", 3), std::string("\x1f")}) {
    const std::string message = support::message_of([&] { all_lines(written("more.gz", member + garbage)); });
    EXPECT_TRUE(contains(message, "more.gz") && contains(message, "line 3")) << message;
  }
  const std::string message =
      support::message_of([&] { all_lines(written("more.zst", zstd_frame("a\nb\n") + "c\nd\n")); });
  EXPECT_TRUE(contains(message, "more.zst") && contains(message, "line 3")) << message;
}

TEST_F(LineReaderTest, NamesFileAndLineOfDamagedZstdData) {
  const std::string bytes = zstd_frame(noisy_lines(20'000));
  for (const double share : {0.0001, 0.3, 0.9, 0.999999}) {
    const auto size = static_cast<size_t>(static_cast<double>(bytes.size()) * share);
    const std::string message = support::message_of([&] { all_lines(written("cut.zst", bytes.substr(0, size))); });
    EXPECT_TRUE(contains(message, "cut.zst") && contains(message, "ends early, in line ")) << message;
  }
  std::string window(bytes);  // a frame that asks for 2^41 bytes of memory: RFC 8878, 3.1.1.1.2
  window[4] = 0, window[5] = static_cast<char>(0xF8);
  const std::string message = support::message_of([&] { all_lines(written("window.zst", window)); });
  EXPECT_TRUE(contains(message, "window.zst") && contains(message, "damaged")) << message;
}

TEST_F(LineReaderTest, PartsOfAFileAreItsLines) {
  const std::string text = "\nfirst\r\n" + noisy_lines(40) + "\n\n" + std::string(500, 'x') + "\nno end";
  const auto path = written("lines", text);
  const auto expected = all_lines(path);
  for (const std::uint64_t part_bytes : {1, 2, 7, 64, 499, 500, 501, 4096, 1 << 20}) {
    std::vector<std::string> lines;
    std::uint64_t next_byte = 0;
    for (const InputPart& part : input_parts({path}, part_bytes)) {
      EXPECT_EQ(part.begin, next_byte);
      next_byte = part.end;
      LineReader reader(part);
      std::int64_t number = 0;
      for (std::string line; reader.next(line); lines.push_back(line)) EXPECT_EQ(reader.line_number(), ++number);
    }
    EXPECT_EQ(next_byte, text.size());
    EXPECT_EQ(lines, expected) << part_bytes;
  }
}

TEST_F(LineReaderTest, CompressedAndEmptyFilesAreOnePart) {
  write_gz(file("a.gz"), noisy_lines(100));
  const auto parts =
      input_parts({file("a.gz"), written("empty", ""), written("b.zst", zstd_frame("x")), written("c", "xyz")}, 2);
  ASSERT_EQ(parts.size(), 5u);
  EXPECT_EQ(parts[0].end, kWholeFile);
  EXPECT_EQ(parts[1].input, 1u);
  EXPECT_EQ(parts[2].end, kWholeFile);
  EXPECT_EQ(parts[4].begin, 2u);
  EXPECT_EQ(parts[4].end, 3u);
  EXPECT_EQ(parts[4].input, 3u);
}

TEST_F(LineReaderTest, ListsOfFilesHaveNoEmptyAndNoRepeatedEntry) {
  const std::string a = written("a", "x").string(), b = written("b", "x").string();
  EXPECT_EQ(input_files(a + "," + b), (std::vector<std::filesystem::path>{a, b}));
  EXPECT_EQ(input_files("none"), (std::vector<std::filesystem::path>{"none"}));
  for (const std::string& list : {std::string(), a + ",", "," + a, a + ",," + b})
    EXPECT_TRUE(contains(support::message_of([&] { input_files(list); }), "empty entry")) << list;
  std::filesystem::create_symlink(a, file("link"));
  for (const std::string& same : {a, file("link").string(), (file("") / "." / "a").string()})
    EXPECT_TRUE(contains(support::message_of([&] { input_files(a + "," + b + "," + same); }), "twice")) << same;
}

TEST_F(LineReaderTest, CountsOfPartsAddUpToThoseOfTheFile) {
  LineCounts whole, parts;
  for (int part = 0; part < 4; ++part) {
    LineCounts counts{.total_lines = 10, .lines = 8, .malformed = 0, .first_malformed = {}};
    for (int line = 1; line <= 10; line += 3) {
      counts.reject(line, fmt::format("{}", 10 * part + line));
      whole.reject(10 * part + line, fmt::format("{}", 10 * part + line));
    }
    parts.append(counts);
  }
  EXPECT_EQ(parts.total_lines, 40);
  EXPECT_EQ(parts.lines, 32);
  EXPECT_EQ(parts.malformed, 16);
  ASSERT_EQ(parts.first_malformed.size(), LineCounts::kNumBadLinesShown);
  for (size_t i = 0; i < parts.first_malformed.size(); ++i) {
    EXPECT_EQ(parts.first_malformed[i].line, whole.first_malformed[i].line);
    EXPECT_EQ(parts.first_malformed[i].reason, fmt::format("{}", parts.first_malformed[i].line));
  }
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

TEST_F(LineReaderTest, LinesWithoutEndAreRefused) {
  std::string line;
  const auto path = written("long", std::string(kLongestLine, 'x') + "\n" + std::string(kLongestLine + 1, 'y'));
  LineReader reader(path);
  EXPECT_TRUE(reader.next(line));
  EXPECT_EQ(line.size(), kLongestLine);
  EXPECT_TRUE(contains(support::message_of([&] { reader.next(line); }), "line 2 has more than 67108864 bytes"));
}

}  // namespace allreco::data
