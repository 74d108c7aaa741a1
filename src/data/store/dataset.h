// Dataset: one split of a prepared dataset directory (docs/formats.md). Lengths are in memory, tokens are read from the
// file example by example. A Dataset is immutable. Opening calls HDF5, so from one thread at a time; reading does not,
// so from any thread.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/tokenizer/tokenizer.h"

namespace allreco::data {

/// One example as stored. tokens = prompt (prompt_length tokens, BOS among them) then the supervised part (answer and
/// EOS).
struct Example {
  std::vector<TokenId> tokens;
  std::int64_t prompt_length = 0;  // tokens before the supervised part; 0: all but the first token are supervised
  std::optional<std::uint64_t> user;
  std::optional<std::int64_t> timestamp;   // seconds since 1970 of the target's review
  std::optional<std::uint32_t> target;     // item id in the catalogue
  std::optional<std::uint32_t> last_item;  // item id of the newest history item; /last_items, 0xFFFFFFFF where unknown
  std::vector<std::uint32_t> history;      // item ids of the history, oldest first, the shown part of it and what a cut
                                           // left out; empty: none, or not known (Dataset::has_histories)
  std::vector<std::uint32_t> candidates;   // item ids, the target among them, in the order shown; empty: none
  std::optional<std::uint8_t> gold;        // index of the target in `candidates`
};

/// A catalogue entry: a line of items.jsonl.
struct Item {
  std::uint32_t id = 0;
  std::string asin;              // empty for options of ready prompts
  std::string title;             // cleaned; what an answer says
  std::int64_t train_count = 0;  // how often it is a target in the train split
  std::vector<TokenId> tokens;   // of the title as an answer, without EOS; empty for token datasets
  std::string category = {};     // what a shop files it under; this and what follows is empty where it is unknown
  std::string brand = {};
  std::string price = {};  // as "12.99"
};

/// dataset.json, read and checked.
struct DatasetInfo {
  std::filesystem::path directory;
  std::string tokenizer_sha256;  // empty for token datasets
  std::int64_t vocab_size = 0;
  TokenId bos_id = -1;  // as used in the examples; -1 where unknown
  TokenId eos_id = -1;
  std::int64_t num_items = 0;   // of the catalogue; item ids of examples lie below it
  std::int64_t max_length = 0;  // longest example, in tokens
  core::Json json;              // the whole document
  std::string fingerprint;      // sha256 over the shards' sha256: equal data, equal fingerprint
};

/// UserError when the directory is no complete dataset of a version that this program reads.
DatasetInfo read_dataset_info(const std::filesystem::path& directory);

/// UserError when the dataset may hold tokens that a model with such a vocabulary does not know.
void require_vocabulary_fits(const DatasetInfo& info, std::int64_t vocab_size_of_model, const std::string& model = "");

class Dataset {
 public:
  /// Opens all shards of `split` (train, validation, test). UserError when the split is missing; when a shard is
  /// missing, cut short, of another tokenizer or not complete; with `verify_checksums`, when a byte differs from what
  /// dataset.json says.
  Dataset(const std::filesystem::path& directory, const std::string& split, bool verify_checksums = true);
  ~Dataset();
  Dataset(Dataset&&) noexcept;

  const DatasetInfo& info() const;
  std::int64_t size() const;
  /// Length in tokens and supervised targets of example i without reading its tokens (both from the offsets, kept in
  /// memory).
  std::int64_t length(std::int64_t i) const;
  std::int64_t prompt_length(std::int64_t i) const;
  /// length - max(prompt_length, 1): the first token is never a target.
  std::int64_t num_supervised(std::int64_t i) const;
  bool has_candidates() const;
  /// Whether the split says which items each history holds.
  bool has_histories() const;
  /// Everything about example i: up to eight reads.
  Example example(std::int64_t i) const;
  /// Only what a loss needs, in one read: all tokens of example i, or those before its supervised part.
  std::vector<TokenId> tokens(std::int64_t i) const;
  std::vector<TokenId> prompt(std::int64_t i) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// True if the directory's dataset.json lists this split with at least one example.
bool has_split(const DatasetInfo& info, const std::string& split);

/// items.jsonl, index = id. Empty for token datasets.
std::vector<Item> read_catalogue(const DatasetInfo& info);

/// train_sequences.jsonl: the items that each shopper bought in the train part, oldest first. None where the dataset
/// has no such file: token ids, ready prompts, a split of single examples, and what earlier versions prepared.
std::optional<std::vector<std::vector<std::uint32_t>>> read_listed_train_sequences(const DatasetInfo& info);

}  // namespace allreco::data
