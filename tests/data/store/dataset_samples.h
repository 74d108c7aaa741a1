// Examples and directories for the tests of the dataset store.
#pragma once
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "core/check.h"
#include "core/files.h"
#include "core/json.h"
#include "core/random.h"
#include "data/store/dataset_writer.h"

namespace allreco::data {

inline constexpr std::int64_t kVocabulary = 512;
inline const std::string kTokenizerSha(64, 'a');

inline DatasetWriterOptions writer_options(const std::filesystem::path& directory) {
  DatasetWriterOptions options;
  options.directory = directory;
  options.tokenizer_sha256 = kTokenizerSha;
  options.vocab_size = kVocabulary;
  options.bos_id = 1;
  options.eos_id = 2;
  return options;
}

inline constexpr std::uint32_t kItems = 1000;  // sample examples name items below this

inline std::vector<Item> sample_items() {
  std::vector<Item> items;
  for (std::uint32_t i = 0; i < kItems; ++i) items.push_back({i, "B000000000", "A title of some length", 1, {1, 2, 3}});
  return items;
}

/// Example number i, with every optional field when `full`.
inline Example sample_example(std::int64_t i, bool full, std::int64_t vocab_size = kVocabulary) {
  core::RandomStream stream(core::mix_key(1, {static_cast<std::uint64_t>(i)}));
  Example example;
  example.tokens.resize(1 + stream.next_below(40));
  for (TokenId& id : example.tokens)
    id = static_cast<TokenId>(stream.next_below(static_cast<std::uint64_t>(vocab_size)));
  example.prompt_length = static_cast<std::int64_t>(stream.next_below(example.tokens.size() + 1));
  if (!full) return example;
  example.user = stream.next_u64();
  example.timestamp = static_cast<std::int64_t>(stream.next_u64());
  example.target = static_cast<std::uint32_t>(stream.next_below(kItems));
  if (i % 3 != 0) example.last_item = static_cast<std::uint32_t>(stream.next_below(kItems));
  for (std::int64_t k = 0; k < i % 4; ++k)  // some are empty
    example.history.push_back(static_cast<std::uint32_t>((i * 11 + k * 17) % kItems));
  const auto num_candidates = static_cast<std::uint32_t>(2 + i % 3);
  for (std::uint32_t c = 0; c < num_candidates; ++c) example.candidates.push_back(c * 7 + 1);
  example.gold = static_cast<std::uint8_t>(stream.next_below(num_candidates));
  return example;
}

/// `num_examples` examples from number `first` on, into `split`.
inline void append_samples(DatasetWriter& writer, const std::string& split, std::int64_t first,
                           std::int64_t num_examples, bool full = true) {
  for (std::int64_t i = first; i < first + num_examples; ++i) writer.append(split, sample_example(i, full));
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

inline void overwrite(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

}  // namespace allreco::data
