#include "train/tensorboard.h"

#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <vector>

#include "core/files.h"
#include "support/temporary_directory.h"
#include "train/files.h"

namespace allreco::train {
namespace {

/// A reader of event files that shares no code with the writer: CRC bit by bit, protobuf by a small recursive descent.
struct Point {
  double wall_time = 0;
  std::int64_t step = 0;
  std::string file_version, tag;
  std::optional<float> value;
  std::optional<std::uint64_t> session_status;
};

std::uint32_t crc_bit_by_bit(std::string_view bytes) {
  std::uint32_t crc = 0xFFFFFFFF;
  for (char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82F63B78u : crc >> 1;
  }
  return crc ^ 0xFFFFFFFF;
}

std::uint32_t unmask(std::uint32_t masked) {
  const std::uint32_t rotated = masked - 0xa282ead8u;
  return rotated >> 17 | rotated << 15;
}

template <class T>
T take(std::string_view& bytes) {
  T value{};
  if (bytes.size() < sizeof(T)) throw std::runtime_error("record cut short");
  std::memcpy(&value, bytes.data(), sizeof(T));
  bytes.remove_prefix(sizeof(T));
  return value;
}

std::uint64_t take_varint(std::string_view& bytes) {
  std::uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    const auto byte = take<std::uint8_t>(bytes);
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
}

/// `path` holds the field numbers from the event down: {5, 1, 2} is summary.value.simple_value.
void parse(std::string_view bytes, std::vector<int> path, Point& point) {
  while (!bytes.empty()) {
    const std::uint64_t key = take_varint(bytes);
    std::vector<int> field = path;
    field.push_back(static_cast<int>(key >> 3));
    if ((key & 7) == 0) {
      const std::uint64_t value = take_varint(bytes);
      if (field == std::vector{2}) point.step = static_cast<std::int64_t>(value);
      if (field == std::vector{7, 1}) point.session_status = value;
    } else if ((key & 7) == 1) {
      const auto value = take<double>(bytes);
      if (field == std::vector{1}) point.wall_time = value;
    } else if ((key & 7) == 5) {
      const auto value = take<float>(bytes);
      if (field == std::vector{5, 1, 2}) point.value = value;
    } else {
      const std::uint64_t size = take_varint(bytes);
      const std::string_view inner = bytes.substr(0, size);
      bytes.remove_prefix(size);
      if (field == std::vector{3}) point.file_version = inner;
      if (field == std::vector{5, 1, 1}) point.tag = inner;
      if (field == std::vector{5} || field == std::vector{5, 1} || field == std::vector{7}) parse(inner, field, point);
    }
  }
}

std::vector<Point> read_events(const std::filesystem::path& path) {
  const std::string file = core::read_file(path);
  std::string_view bytes = file;
  std::vector<Point> points;
  while (!bytes.empty()) {
    const std::string_view length_bytes = bytes.substr(0, 8);
    const auto length = take<std::uint64_t>(bytes);
    EXPECT_EQ(unmask(take<std::uint32_t>(bytes)), crc_bit_by_bit(length_bytes));
    const std::string_view event = bytes.substr(0, length);
    bytes.remove_prefix(length);
    EXPECT_EQ(unmask(take<std::uint32_t>(bytes)), crc_bit_by_bit(event));
    parse(event, {}, points.emplace_back());
  }
  return points;
}

TEST(TensorBoard, Crc32cKnowsThePublishedAnswers) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);              // the catalogue's check value
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);    // RFC 3720, B.4
  EXPECT_EQ(crc32c(std::string(32, '\xFF')), 0x62A8AB43u);  // RFC 3720, B.4
  EXPECT_EQ(crc32c(""), 0u);
}

TEST(TensorBoard, ThisTestsReaderReadsTensorBoardsOwnFile) {
  const auto points = read_events(fixture("tensorboard/events.golden"));
  ASSERT_EQ(points.size(), 4u);
  EXPECT_EQ(points[0].file_version, "brain.Event:2");
  EXPECT_EQ(points[0].wall_time, 1700000000.25);
  EXPECT_EQ(points[1].step, 11);
  EXPECT_EQ(points[1].session_status, 1u);
  EXPECT_EQ(points[2].tag, "train/loss");
  EXPECT_EQ(points[2].value, 4.125f);
  EXPECT_EQ(points[3].step, 300);
  EXPECT_EQ(points[3].value, -0.5f);
}

TEST(TensorBoard, WritesWhatThatReaderReads) {
  const support::TemporaryDirectory scratch;
  std::filesystem::path path;
  {
    TensorBoardWriter writer(scratch.path(), 11);
    writer.add_scalar("train/loss", 4.125, 12);
    writer.add_scalar("eval/loss", -0.5, 300);
    writer.flush();
    path = writer.path();
  }
  EXPECT_TRUE(path.filename().string().starts_with("events.out.tfevents."));
  const auto points = read_events(path);
  ASSERT_EQ(points.size(), 4u);
  EXPECT_EQ(points[0].file_version, "brain.Event:2");
  EXPECT_GT(points[0].wall_time, 1.7e9);
  EXPECT_EQ(points[1].step, 11);
  EXPECT_EQ(points[1].session_status, 1u);
  EXPECT_EQ(points[2].tag, "train/loss");
  EXPECT_EQ(points[2].value, 4.125f);
  EXPECT_EQ(points[2].step, 12);
  EXPECT_EQ(points[3].tag, "eval/loss");
  EXPECT_EQ(points[3].step, 300);
}

}  // namespace
}  // namespace allreco::train
