#include "train/tensorboard.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <chrono>

#include "core/check.h"
#include "core/host.h"

namespace allreco::train {
namespace {

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78u : 0u);
    table[byte] = crc;
  }
  return table;
}
constexpr auto kCrcTable = make_crc_table();

/// TFRecord stores a rotated CRC plus a constant, because a CRC of data that holds CRCs is weak
/// (tensorflow/core/lib/hash/crc32c.h).
std::uint32_t masked_crc32c(std::string_view bytes) { return std::rotr(crc32c(bytes), 15) + 0xA282EAD8u; }

template <class T>
std::string little_endian(T value) {
  std::string bytes;
  for (size_t i = 0; i < sizeof(T); ++i) bytes += static_cast<char>((value >> (8 * i)) & 0xFF);
  return bytes;
}

// Protocol buffers wire format: field key = number << 3 | type, with type 0 varint, 1 eight bytes, 2 length-delimited,
// 5 four bytes.
std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>((value & 0x7F) | 0x80);
  return bytes + static_cast<char>(value);
}
std::string varint_field(int number, std::uint64_t value) {
  return varint(static_cast<std::uint64_t>(number) << 3) + varint(value);
}
std::string double_field(int number, double value) {
  return varint(static_cast<std::uint64_t>(number) << 3 | 1) + little_endian(std::bit_cast<std::uint64_t>(value));
}
std::string float_field(int number, float value) {
  return varint(static_cast<std::uint64_t>(number) << 3 | 5) + little_endian(std::bit_cast<std::uint32_t>(value));
}
std::string bytes_field(int number, std::string_view bytes) {
  return varint(static_cast<std::uint64_t>(number) << 3 | 2) + varint(bytes.size()) + std::string(bytes);
}

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// tensorflow/core/util/event.proto: Event {double wall_time = 1; int64 step = 2; string file_version = 3; Summary
// summary = 5; SessionLog session_log = 7}; summary.proto: Summary {repeated Value value = 1}, Value {string tag = 1;
// float simple_value = 2}.
std::string event_at(std::int64_t step) {
  return double_field(1, wall_seconds()) + varint_field(2, static_cast<std::uint64_t>(step));
}

std::filesystem::path new_event_path(const std::filesystem::path& directory) {
  return directory / fmt::format("events.out.tfevents.{:010d}.{}.{}", static_cast<std::int64_t>(wall_seconds()),
                                 core::host_name(), ::getpid());
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  std::uint32_t crc = ~std::uint32_t{0};
  for (char c : bytes) crc = (crc >> 8) ^ kCrcTable[(crc ^ static_cast<unsigned char>(c)) & 0xFF];
  return ~crc;
}

TensorBoardWriter::TensorBoardWriter(const std::filesystem::path& directory, std::int64_t first_step)
    : path_(new_event_path(directory)), file_(path_) {
  write_record(double_field(1, wall_seconds()) + bytes_field(3, "brain.Event:2"));
  constexpr std::uint64_t kSessionStart = 1;  // SessionLog.SessionStatus.START
  if (first_step > 0) write_record(event_at(first_step) + bytes_field(7, varint_field(1, kSessionStart)));
  flush();
}

void TensorBoardWriter::add_scalar(std::string_view tag, double value, std::int64_t step) {
  const std::string point = bytes_field(1, tag) + float_field(2, static_cast<float>(value));
  write_record(event_at(step) + bytes_field(5, bytes_field(1, point)));
}

void TensorBoardWriter::write_record(const std::string& event) {
  const std::string length = little_endian(static_cast<std::uint64_t>(event.size()));
  file_.add(length + little_endian(masked_crc32c(length)) + event + little_endian(masked_crc32c(event)));
}

}  // namespace allreco::train
