// ShardReader: one finished shard. HDF5 tells at opening where the arrays lie; after that bytes are read directly.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/input_file.h"
#include "data/store/dataset.h"
#include "data/store/hdf5_file.h"

namespace allreco::data {

/// What dataset.json says about a shard.
struct ShardEntry {
  std::string file;
  std::int64_t examples = 0;
  std::int64_t tokens = 0;
  std::int64_t bytes = 0;
  std::string sha256;
};

class ShardReader {
 public:
  /// UserError, naming the file, unless it is the complete shard that `entry` and `info` describe.
  ShardReader(const DatasetInfo& info, const ShardEntry& entry, bool verify_checksum);

  std::int64_t size() const { return static_cast<std::int64_t>(prompt_lengths_.size()); }
  std::int64_t length(std::int64_t i) const;
  std::int64_t prompt_length(std::int64_t i) const;
  bool has_candidates() const { return candidates_.present; }
  bool has_histories() const { return !history_offsets_.empty(); }
  Example example(std::int64_t i) const;
  /// The first `count` tokens of example i: one read, no other column.
  std::vector<TokenId> first_tokens(std::int64_t i, std::int64_t count) const;

 private:
  /// An optional column: N rows of `width` elements.
  struct Column {
    bool present = false;
    std::uint64_t first_byte = 0;
    std::uint64_t width = 1;
  };

  void check_identity(const Hdf5Reader& file, const DatasetInfo& info) const;
  void read_offsets(const Hdf5Reader& file, const ShardEntry& entry);
  void read_history_offsets(const Hdf5Reader& file);
  std::vector<std::uint32_t> history(std::int64_t i) const;
  Column find_column(const Hdf5Reader& file, const std::string& name, ElementType type, std::uint64_t dimensions) const;
  template <class T>
  std::vector<T> row(const Column& column, std::int64_t i) const;
  void check_items(const Example& example, std::int64_t i) const;
  template <class T>
  std::vector<TokenId> read_ids(std::int64_t i, std::int64_t count) const;

  core::InputFile file_;
  std::int64_t vocab_size_;
  std::int64_t num_items_;
  ElementType token_type_;
  std::uint64_t first_token_byte_ = 0;
  std::vector<std::uint64_t> offsets_;  // [N+1], in tokens
  std::vector<std::uint32_t> prompt_lengths_;
  std::uint64_t first_history_byte_ = 0;
  std::vector<std::uint64_t> history_offsets_;  // [N+1], in items; empty: no histories
  Column users_, timestamps_, targets_, last_items_, gold_, candidates_;
};

}  // namespace allreco::data
