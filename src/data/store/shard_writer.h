// ShardWriter: collects the examples of one shard and writes them as one HDF5 file of flat arrays.
#pragma once
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

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

/// Token ids wait in a nameless file of the same directory (a contiguous HDF5 array must know its length when it is
/// made, and a shard's tokens may be more than memory should hold); the other columns, a few dozen bytes an example,
/// wait in memory.
class ShardWriter {
 public:
  /// `directory`: where the waiting tokens go.
  ShardWriter(const std::filesystem::path& directory, const ShardIdentity& identity);

  /// REQUIRES tokens in [0, vocab_size), at least one, prompt_length in [0, tokens]; gold, if any, an index into the
  /// candidates; user and timestamp on all examples of the shard or on none. A Fault says which was broken.
  void append(const Example& example);

  /// Writes the file and makes it safe on disk. The writer is done after that.
  void write(const std::filesystem::path& path);

  const ShardTotals& totals() const { return totals_; }

 private:
  using Spool = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

  void check(const Example& example) const;
  void spool_tokens(const Example& example);
  void spool_failed() const;
  void write_tokens(Hdf5Writer& file);
  void write_columns(Hdf5Writer& file) const;
  std::vector<std::uint32_t> candidate_rows(std::uint64_t width) const;

  std::filesystem::path directory_;
  ShardIdentity identity_;
  ElementType token_type_;
  ShardTotals totals_;
  Spool spool_;
  std::vector<std::uint64_t> offsets_{0};
  std::vector<std::uint32_t> prompt_lengths_;
  std::vector<std::uint64_t> users_;
  std::vector<std::int64_t> timestamps_;
  std::vector<std::uint32_t> targets_;
  std::vector<std::uint32_t> last_items_;
  std::vector<std::uint64_t> history_offsets_{0};
  std::vector<std::uint32_t> history_items_;
  std::vector<std::uint8_t> gold_;
  std::vector<std::uint32_t> candidates_;  // of all examples, one after another
  std::vector<std::uint8_t> candidate_counts_;
};

}  // namespace allreco::data
