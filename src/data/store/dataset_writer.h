// DatasetWriter: writes a dataset directory (docs/formats.md) so that it exists whole or not at all.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/store/dataset.h"
#include "data/store/shard_writer.h"

namespace allreco::data {

struct DatasetWriterOptions {
  std::filesystem::path directory;  // must not exist, or be empty
  std::filesystem::path tokenizer;  // file or directory; copied to DIR/tokenizer.json or .model when not empty
  std::string tokenizer_sha256;     // empty for token datasets
  std::int64_t vocab_size = 0;      // tokens are uint16 when it is at most 65536, else uint32
  TokenId bos_id = -1;
  TokenId eos_id = -1;
  std::int64_t examples_per_shard = 1'000'000;
};

/// Everything goes to a temporary directory beside the target; finish() renames it. A writer that is destroyed before
/// finish() removes what it wrote, the parent directories that it made included. Memory is bounded: see ShardWriter.
/// One thread, one rank. Equal calls give byte-equal shards.
class DatasetWriter {
 public:
  /// UserError when the directory exists and is not empty, is a mount point, or cannot be made.
  explicit DatasetWriter(DatasetWriterOptions options);
  ~DatasetWriter();

  /// Appends to a split (a name of lower-case letters). Shards are named <split>-00000-of-00004.h5 (renamed to their
  /// final count in finish()). REQUIRES ids within the vocabulary, and user and timestamp on all examples of a split or
  /// on none; the other optional fields and the number of candidates may differ from example to example. UserError when
  /// the disk is full.
  void append(const std::string& split, const Example& example);

  /// For several ranks, which write shards into the directory that is still unpublished: where it is, under which name
  /// a shard waits there, and the shard that a rank has written. REQUIRES indices from 0 on, in order, and no append()
  /// to the split.
  const std::filesystem::path& staging() const;
  static std::string unfinished_name(const std::string& split, std::size_t index);
  void adopt(const std::string& split, std::size_t index, const FinishedShard& shard);

  /// The next `num_items` lines of items.jsonl (data/store/lines_writer.h), in a file of staging(), which is removed.
  void adopt_items(const std::filesystem::path& lines, std::int64_t num_items);
  /// The same of train_sequences.jsonl.
  void adopt_train_sequences(const std::filesystem::path& lines, std::int64_t num_sequences);

  /// Writes items.jsonl (when items are given and none were adopted; REQUIRES id = index, titles in UTF-8, and the item
  /// ids of all examples among them) and dataset.json with
  /// `description` merged in
  /// ("command", "options", "template", "counts", "notes", ...; REQUIRES none of the writer's own keys), then renames
  /// the directory into place.
  void finish(const std::vector<Item>& items, const core::Json& description);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace allreco::data
