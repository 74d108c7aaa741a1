// Lines of a text file, plain or gzip-compressed, with their numbers.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace allreco::data {

/// No line of a data file comes near it, and compressed data can hold a thousand times its own size.
inline constexpr size_t kLongestLine = size_t{64} << 20;

/// Reads one file from its beginning; one thread. Memory: one line and one buffer.
class LineReader {
 public:
  /// UserError when the file is missing, cannot be read, is no regular file, or is named .gz without being gzip data.
  explicit LineReader(const std::filesystem::path& path);
  ~LineReader();
  LineReader(LineReader&&) noexcept;

  /// The next line without its end ("\n" or "\r\n"; the last line may lack it); false after the last. UserError naming
  /// the file and the line when it has more than kLongestLine bytes, or when compressed data ends early or is damaged.
  bool next(std::string& line);
  /// The 1-based number of the line that next() returned last; 0 before the first.
  std::int64_t line_number() const;
  const std::filesystem::path& path() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace allreco::data
