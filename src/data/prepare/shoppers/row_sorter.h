// RowSorter: puts packed review rows in order with bounded memory. Rows fill a buffer; a full one is sorted and spilled
// as a run to a nameless file; the runs are merged while they are read.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "core/spool.h"
#include "data/prepare/shoppers/packed_rows.h"

namespace allreco::data {

class RowSorter {
 public:
  /// `memory_bytes` 0: no limit, nothing is spilled.
  RowSorter(std::filesystem::path directory, std::uint64_t memory_bytes);
  ~RowSorter();

  void add(std::string_view packed_row);
  /// Calls visit for each row in the order of comes_before; a row's views are there until the next. Once, after all
  /// rows; the sorter is empty then.
  void for_each_sorted(const std::function<void(const RowView&)>& visit);

  std::int64_t num_rows() const { return num_rows_; }
  std::uint64_t spilled_bytes() const { return spilled_bytes_; }

 private:
  struct Entry {
    std::uint64_t prefix;  // of the user
    const char* row;
  };
  void sort();
  void spill();
  void clear();
  void merge(const std::function<void(std::string_view packed, const RowView&)>& visit);

  std::filesystem::path directory_;
  std::uint64_t memory_bytes_;
  std::vector<std::unique_ptr<char[]>> chunks_;
  std::size_t used_ = 0, chunk_bytes_ = 0;  // of the last chunk
  std::uint64_t held_bytes_ = 0;
  std::vector<Entry> entries_;
  std::vector<std::unique_ptr<core::Spool>> runs_;
  std::int64_t num_rows_ = 0;
  std::uint64_t spilled_bytes_ = 0;
};

}  // namespace allreco::data
