// gzip and zstd data as a ByteSource. Internal to open_source.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "core/input_file.h"
#include "data/input/byte_source.h"

namespace allreco::data {

/// One gzip member or several. Bytes behind the last that are neither a member nor zeros are damage: what is behind
/// them would be lost in silence. ISA-L inflates twice as fast as zlib (bench/README.md).
std::unique_ptr<ByteSource> open_gzip(core::InputFile file);

/// One zstd frame or several, with windows of up to 2^27 bytes (zstd -19; --long=27), which bounds its memory.
std::unique_ptr<ByteSource> open_zstd(core::InputFile file);

/// The same bytes, read a few blocks ahead by a thread of its own, so that decompression and parsing overlap.
std::unique_ptr<ByteSource> read_ahead(std::unique_ptr<ByteSource> source);

/// The bytes of a file in blocks.
class FileBlocks {
 public:
  explicit FileBlocks(core::InputFile file);
  /// Reads on into block(); false at the end of the file.
  bool next();
  std::vector<std::uint8_t>& block() { return block_; }
  std::uint64_t bytes_read() const { return next_; }

 private:
  core::InputFile file_;
  std::uint64_t next_ = 0;
  std::vector<std::uint8_t> block_;
};

}  // namespace allreco::data
