// PromptSource: how the prompts of a dataset were made from histories, so that others can be made alike.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "data/prompts/example_encoder.h"
#include "data/prompts/template.h"
#include "data/store/dataset.h"
#include "data/tokenizer/tokenizer.h"

namespace allreco::data {

/// What dataset.json says of the `prepare` that made the dataset, and the tokenizer beside it. Any thread may call it.
class PromptSource {
 public:
  /// UserError for a dataset whose examples were not made from histories, and naming dataset.json where an option is
  /// missing or has a value that `prepare` does not take, and where the tokenizer is not the one that it lists.
  explicit PromptSource(const DatasetInfo& info);

  PromptSource(const PromptSource&) = delete;  // its encoder refers to its own tokenizer and template
  PromptSource& operator=(const PromptSource&) = delete;

  const PromptTemplate& prompt_template() const { return template_; }
  const ExampleEncoder& encoder() const { return encoder_; }
  /// Newest items of a history that a prompt shows.
  std::int64_t max_history() const { return max_history_; }
  /// How many options a prompt shows; 0: its template shows none.
  std::int64_t num_options() const { return num_options_; }

 private:
  Tokenizer tokenizer_;
  PromptTemplate template_;
  ExampleEncoder encoder_;
  std::int64_t max_history_ = 0, num_options_ = 0;
};

/// What prompts may say of these items of the catalogue.
std::vector<ItemText> item_texts(std::span<const std::uint32_t> items, const std::vector<Item>& catalogue);

}  // namespace allreco::data
