// Items as lines of items.jsonl (docs/formats.md).
#pragma once
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "data/store/dataset.h"

namespace allreco::data {

/// With its end. A Fault for a text that is not UTF-8.
std::string item_line(const Item& item);

/// Writes lines to a file. UserError when the disk is full.
class ItemLinesWriter {
 public:
  explicit ItemLinesWriter(std::filesystem::path path);
  void append(std::string_view lines);
  void close();

 private:
  [[noreturn]] void write_failed() const;

  std::filesystem::path path_;
  std::ofstream file_;
};

}  // namespace allreco::data
