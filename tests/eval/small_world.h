// A small prepared dataset, a small model and a session of one rank, for the tests of this folder.
#pragma once
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "core/random.h"
#include "data/store/dataset.h"
#include "data/store/dataset_writer.h"
#include "model/decoder/decoder.h"
#include "model/decoder/weights.h"

namespace allreco::eval::testing {

inline std::filesystem::path repository(const std::string& relative) {
  return std::filesystem::path(ALLRECO_SOURCE_DIR) / relative;
}

/// Random weights of the golden fixture llama-tiny (V = 512), float64 unless asked otherwise: so that differences are
/// mistakes, not rounding.
struct TinyModel {
  explicit TinyModel(at::ScalarType dtype = at::kDouble)
      : config(model::read_model_config(directory())),
        weights(model::load_base_model(directory().string(), dtype == at::kDouble ? "float64" : "float32").weights),
        decoder(config, weights, nullptr) {}
  static std::filesystem::path directory() { return repository("tests/fixtures/golden/llama-tiny"); }

  model::ModelConfig config;
  model::Weights weights;
  model::Decoder decoder;
};

/// An example of a token dataset.
inline data::Example tokens_only(std::vector<data::TokenId> tokens, std::int64_t prompt_length) {
  data::Example example;
  example.tokens = std::move(tokens);
  example.prompt_length = prompt_length;
  return example;
}

inline constexpr data::TokenId kEos = 2;
inline constexpr std::uint32_t kNumItems = 12;

inline std::vector<data::TokenId> random_tokens(core::RandomStream& stream, std::size_t count) {
  std::vector<data::TokenId> tokens;
  for (std::size_t i = 0; i < count; ++i) tokens.push_back(static_cast<data::TokenId>(3 + stream.next_below(500)));
  return tokens;
}

/// Twelve titles of one to six tokens; items 3 and 7 have the same title.
inline std::vector<data::Item> small_catalogue() {
  core::RandomStream stream(core::key_of("catalogue"));
  std::vector<data::Item> items;
  for (std::uint32_t id = 0; id < kNumItems; ++id) {
    items.push_back({id, fmt::format("A{}", id), fmt::format("title {}", std::string(id + 1, 'x')), id % 5,
                     random_tokens(stream, 1 + id % 6)});
  }
  items[7].title = items[3].title;
  items[7].tokens = items[3].tokens;
  return items;
}

/// A prompt of 5 to 30 tokens, five candidates, the right title and EOS. Every user has three examples.
inline data::Example small_example(std::uint64_t index, const std::vector<data::Item>& items) {
  core::RandomStream stream(core::mix_key(core::key_of("example"), {index}));
  data::Example example;
  example.tokens = random_tokens(stream, 5 + stream.next_below(26));
  example.tokens.front() = 1;
  example.prompt_length = std::ssize(example.tokens);
  example.user = 100 + index / 3;
  example.timestamp = static_cast<std::int64_t>(1'500'000'000 + index);
  const std::uint64_t first = stream.next_below(kNumItems);
  for (std::uint64_t j = 0; j < 5; ++j)
    example.candidates.push_back(static_cast<std::uint32_t>((first + j * 5) % kNumItems));
  example.gold = static_cast<std::uint8_t>(stream.next_below(5));
  example.target = example.candidates[*example.gold];
  example.last_item = static_cast<std::uint32_t>(stream.next_below(kNumItems));
  for (int k = 0; k < 2; ++k) example.history.push_back(static_cast<std::uint32_t>(stream.next_below(kNumItems)));
  example.history.push_back(*example.last_item);
  const auto& title = items[*example.target].tokens;
  example.tokens.insert(example.tokens.end(), title.begin(), title.end());
  example.tokens.push_back(kEos);
  return example;
}

/// Writes `count` test examples and as many train examples.
inline std::filesystem::path write_small_dataset(const std::filesystem::path& directory, std::uint64_t count) {
  data::DatasetWriterOptions options;
  options.directory = directory;
  options.vocab_size = 512;
  options.bos_id = 1;
  options.eos_id = kEos;
  options.examples_per_shard = 10;
  data::DatasetWriter writer(options);
  const std::vector<data::Item> items = small_catalogue();
  for (std::uint64_t i = 0; i < count; ++i) {
    writer.append("test", small_example(i, items));
    writer.append("train", small_example(1000 + i, items));
  }
  writer.finish(items, {{"source", "reviews"},
                        {"split_method", {{"method", "random"}}},
                        {"candidates", {{"num_candidates", 5}, {"negatives", "uniform"}, {"seed", 1}}}});
  return directory;
}

}  // namespace allreco::eval::testing
