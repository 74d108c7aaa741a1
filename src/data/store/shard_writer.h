// ShardWriter: collects the examples of one shard and writes them as one HDF5 file of flat arrays.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/spool.h"
#include "data/store/dataset.h"
#include "data/store/hdf5_file.h"

namespace allreco::data {

/// What every shard of a dataset says about itself in its attributes.
struct ShardIdentity {
  std::string tokenizer_sha256;
  std::int64_t vocab_size = 0;
};

struct ShardTotals {
  std::int64_t examples = 0;
  std::int64_t tokens = 0;
  std::int64_t supervised_tokens = 0;
  std::int64_t largest_item = -1;  // of targets, last items, histories and candidates
  std::int64_t longest = 0;        // tokens of the longest example
};

/// A shard that is written.
struct FinishedShard {
  ShardTotals totals;
  std::string sha256;
  std::int64_t bytes = 0;
};

/// Every column waits in a spool, behind its first 256 KiB in a nameless file of the same directory: a contiguous HDF5
/// array must know its length when it is made, and a shard may be more than memory should hold.
class ShardWriter {
 public:
  /// `directory`: where the waiting columns go.
  ShardWriter(const std::filesystem::path& directory, const ShardIdentity& identity);

  /// REQUIRES tokens in [0, vocab_size), at least one, prompt_length in [0, tokens]; gold, if any, an index into the
  /// candidates; user and timestamp on all examples of the shard or on none. A Fault says which was broken.
  void append(const Example& example);

  /// Writes the file and makes it safe on disk. The writer is done after that.
  FinishedShard write(const std::filesystem::path& path);

  const ShardTotals& totals() const { return totals_; }

 private:
  /// Values of one array. `unknown`: what stands where an example has none.
  template <class T>
  struct Column {
    explicit Column(const std::filesystem::path& directory, T absent = {}) : spool(directory, 0), unknown(absent) {}
    void push(T value) {
      spool.append_value(value);
      any_known = any_known || value != unknown;
    }
    std::uint64_t size() const { return spool.size() / sizeof(T); }

    core::Spool spool;
    T unknown;
    bool any_known = false;
  };

  void check(const Example& example) const;
  void push_tokens(const Example& example);
  void write_tokens(Hdf5Writer& file) const;
  template <class T>
  void write_column(Hdf5Writer& file, const char* name, const Column<T>& column) const;
  void write_columns(Hdf5Writer& file) const;
  void write_candidates(Hdf5Writer& file) const;

  ShardIdentity identity_;
  ElementType token_type_;
  ShardTotals totals_;
  core::Spool tokens_;
  Column<std::uint64_t> offsets_;
  Column<std::uint32_t> prompt_lengths_;
  Column<std::uint64_t> users_;
  Column<std::int64_t> timestamps_;
  Column<std::uint32_t> targets_;
  Column<std::uint32_t> last_items_;
  Column<std::uint64_t> history_offsets_;
  Column<std::uint32_t> history_items_;
  Column<std::uint8_t> gold_;
  Column<std::uint32_t> candidates_;  // of all examples, one after another
  Column<std::uint8_t> candidate_counts_;
  std::uint64_t most_candidates_ = 0;
};

}  // namespace allreco::data
