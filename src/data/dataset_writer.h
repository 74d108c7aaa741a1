// DatasetWriter: writes a dataset directory (docs/formats.md) so that it exists whole or not at all.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/dataset.h"

namespace allreco::data {

struct DatasetWriterOptions {
  std::filesystem::path directory;      // must not exist, or be empty
  std::filesystem::path tokenizer;      // copied to DIR/tokenizer.model when not empty
  std::string tokenizer_sha256;         // empty for token datasets
  std::int64_t vocab_size = 0;          // tokens are uint16 when it is at most 65536, else uint32
  TokenId bos_id = -1;
  TokenId eos_id = -1;
  std::int64_t examples_per_shard = 1'000'000;
};

/// Everything goes to a temporary directory beside the target; finish() renames it. A writer that is destroyed before finish() removes what it wrote.
class DatasetWriter {
 public:
  /// UserError when the directory exists and is not empty, or cannot be made.
  explicit DatasetWriter(DatasetWriterOptions options);
  ~DatasetWriter();

  /// Appends to a split. Shards are named <split>-00000-of-00004.h5 (renamed to their final count in finish()). REQUIRES that all examples of a
  /// split carry the same optional fields.
  void append(const std::string& split, const Example& example);

  /// Writes items.jsonl (when items are given) and dataset.json with `description` merged in ("command", "options", "template", "counts", "notes", ...),
  /// then renames the directory into place.
  void finish(const std::vector<Item>& items, const core::Json& description);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace allreco::data
