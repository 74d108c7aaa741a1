// TensorBoard event files: TFRecord framing around tensorflow.Event messages, scalars only. Rank 0 only; one writer.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "train/append_file.h"

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
  /// False: the disk refused, and the points wait in memory for the next call.
  bool flush() { return file_.flush(); }
  /// UserError when points are still waiting and the disk still refuses them.
  void finish() { file_.finish(); }
  const std::filesystem::path& path() const { return path_; }

 private:
  void write_record(const std::string& event);

  std::filesystem::path path_;
  AppendFile file_;
};

}  // namespace allreco::train
