// Lines of a text file, plain or compressed, with their numbers.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "data/input/input_parts.h"

namespace allreco::data {

/// No line of a data file comes near it, and compressed data can hold a thousand times its own size.
inline constexpr size_t kLongestLine = size_t{64} << 20;

/// Bytes behind each line that may be read (their values mean nothing): what vectorised parsers ask for.
inline constexpr size_t kLinePadding = 64;

/// Reads a file, or a part of one, from its beginning; one thread. Memory: a buffer that holds one line.
class LineReader {
 public:
  /// UserError when the file is missing, cannot be read, is no regular file, or is named .gz or .zst without being such
  /// data.
  explicit LineReader(const std::filesystem::path& path);
  explicit LineReader(const InputPart& part);
  ~LineReader();
  LineReader(LineReader&&) noexcept;

  /// The next line without its end ("\n" or "\r\n"; the last line may lack it); false after the last. Valid up to the
  /// next call. UserError naming the file and the line when it has more than kLongestLine bytes, or when compressed
  /// data ends early or is damaged.
  bool next(std::string_view& line);
  bool next(std::string& line);
  /// The 1-based number, within the part, of the line that next() returned last; 0 before the first.
  std::int64_t line_number() const;
  /// Of the file: compressed ones of a compressed file.
  std::uint64_t bytes_read() const;
  const std::filesystem::path& path() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace allreco::data
