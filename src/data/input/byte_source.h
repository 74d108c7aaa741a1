// The bytes of a data file in their order, decompressed where the file is compressed.
#pragma once
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

#include "core/input_file.h"
#include "data/input/input_parts.h"

namespace allreco::data {

/// Compressed data that cannot be read on; who reads lines says in which one.
class DamagedData : public std::runtime_error {
 public:
  DamagedData(const std::string& reason, bool ends_early) : std::runtime_error(reason), ends_early_(ends_early) {}
  bool ends_early() const { return ends_early_; }

 private:
  bool ends_early_;
};

/// One thread. What comes before damage is handed out before the damage is thrown.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Up to `room` > 0 bytes; 0 only at the end. DamagedData; UserError when the file cannot be read.
  virtual size_t read(char* to, size_t room) = 0;
  /// Of the file, so compressed ones where it is compressed.
  virtual std::uint64_t bytes_read() const = 0;
};

/// Whether the file's first bytes are those of a compressed format that open_source reads.
bool is_compressed(const core::InputFile& file);

/// From part.begin on to the end of the file. UserError as core::InputFile, when the file is of a format that is not
/// read, and when it is named .gz or .zst without being such data.
std::unique_ptr<ByteSource> open_source(const InputPart& part);

}  // namespace allreco::data
