// Names and versions of the dataset format, shared by its writer and its reader (docs/formats.md has the whole
// grammar).
#pragma once
#include <algorithm>
#include <cstdint>

#include "data/store/dataset.h"
#include "data/store/hdf5_file.h"

namespace allreco::data {

inline constexpr const char* kDatasetFormat = "allreco-dataset";  // dataset.json: format
inline constexpr const char* kShardFormat = "allreco-shard";      // attribute format of a shard
inline constexpr std::int64_t kDatasetVersion = 1;                // of both
inline constexpr const char* kDatasetFile = "dataset.json";
inline constexpr const char* kCatalogueFile = "items.jsonl";
inline constexpr const char* kTrainSequencesFile = "train_sequences.jsonl";
inline constexpr const char* kTokenizerFile = "tokenizer.model";
inline constexpr const char* kTokenizerJsonFile = "tokenizer.json";

/// Stands where an example has no item id or gold, and pads /candidates: rows of one shard may show fewer than the
/// widest.
inline constexpr std::uint32_t kNoItem = 0xFFFFFFFF;
inline constexpr std::uint8_t kNoGold = 0xFF;

inline ElementType token_type(std::int64_t vocab_size) {
  return vocab_size <= 65536 ? ElementType::uint16 : ElementType::uint32;
}

/// The first token of a sequence is never a target.
inline std::int64_t supervised_of(std::int64_t length, std::int64_t prompt_length) {
  return std::max<std::int64_t>(0, length - std::max<std::int64_t>(prompt_length, 1));
}

}  // namespace allreco::data
