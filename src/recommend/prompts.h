// From a history to the prompt that the model was trained on.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/prompts/example_encoder.h"
#include "data/prompts/template.h"
#include "data/store/dataset.h"
#include "data/tokenizer/tokenizer.h"
#include "recommend/item_index.h"

namespace allreco::recommend {

struct Prompt {
  std::vector<data::TokenId> tokens;
  std::vector<std::uint32_t> history;  // the items that it shows, oldest first
  std::vector<std::uint32_t> options;  // and the options, if its template shows some
};

/// Builds prompts as `allreco prepare` built those of the dataset, from what its dataset.json says. Any thread may call
/// it.
class PromptBuilder {
 public:
  /// `index` outlives it. UserError for a dataset whose examples are not made from histories, and where the tokenizer
  /// is not the one of dataset.json.
  PromptBuilder(const data::DatasetInfo& info, const ItemIndex& index);

  PromptBuilder(const PromptBuilder&) = delete;  // its encoder refers to its own tokenizer and template
  PromptBuilder& operator=(const PromptBuilder&) = delete;

  /// The newest items of `history` that may be shown and fit beside the longest title; the last one in any case.
  /// REQUIRES a history.
  Prompt build(std::span<const std::uint32_t> history) const;

  const data::PromptTemplate& prompt_template() const { return template_; }
  /// How many options a prompt shows; 0: none.
  std::int64_t num_options() const { return num_options_; }

 private:
  std::vector<std::uint32_t> options_beside(std::span<const std::uint32_t> history) const;

  const ItemIndex& index_;
  data::Tokenizer tokenizer_;
  data::PromptTemplate template_;
  data::ExampleEncoder encoder_;
  std::int64_t max_length_ = 0, max_history_ = 0;
  std::int64_t num_options_ = 0;
  std::uint32_t longest_title_ = 0;          // the item with the most tokens
  std::vector<std::uint32_t> most_popular_;  // by train_count, different titles
};

}  // namespace allreco::recommend
