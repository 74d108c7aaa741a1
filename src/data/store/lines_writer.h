// The lines of a dataset's items.jsonl and train_sequences.jsonl (docs/formats.md), and a file of lines.
#pragma once
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>

#include "data/store/dataset.h"

namespace allreco::data {

/// With its end. A Fault for a text that is not UTF-8.
std::string item_line(const Item& item);
/// The items that one shopper bought, oldest first, as a JSON array with its end.
std::string sequence_line(std::span<const std::uint32_t> items);

/// Writes lines to a file. UserError when the disk is full.
class LinesWriter {
 public:
  explicit LinesWriter(std::filesystem::path path);
  void append(std::string_view lines);
  void close();

 private:
  [[noreturn]] void write_failed() const;

  std::filesystem::path path_;
  std::ofstream file_;
};

}  // namespace allreco::data
