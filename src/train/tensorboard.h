// TensorBoard event files: TFRecord framing around tensorflow.Event messages, scalars only. Rank 0 only; one writer.
#pragma once
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace allreco::train {

/// CRC-32C (Castagnoli, polynomial 0x1EDC6F41 reflected, RFC 3720 appendix B.4).
std::uint32_t crc32c(std::string_view bytes);

class TensorBoardWriter {
 public:
  /// Creates DIRECTORY/events.out.tfevents.<seconds>.<host>.<pid>. With `first_step` > 0 (a resumed run) TensorBoard is
  /// told to forget what older files hold from that step on.
  TensorBoardWriter(const std::filesystem::path& directory, std::int64_t first_step);

  /// One point of the curve `tag`; flush() hands it to the system.
  void add_scalar(std::string_view tag, double value, std::int64_t step);
  void flush();
  const std::filesystem::path& path() const { return path_; }

 private:
  void write_record(const std::string& event);

  std::filesystem::path path_;
  std::ofstream stream_;
};

}  // namespace allreco::train
