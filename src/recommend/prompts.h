// From a history to the prompt that the model was trained on.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/prompts/prompt_source.h"
#include "data/store/dataset.h"
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
  /// `index` outlives it. UserError for a dataset without items or whose answers are no titles, and PromptSource's.
  PromptBuilder(const data::DatasetInfo& info, const ItemIndex& index);

  /// The newest items of `history` that may be shown and fit beside the longest title; the last one in any case.
  /// It is asked in the template's first phrasing. REQUIRES a history.
  Prompt build(std::span<const std::uint32_t> history) const;

  const data::PromptTemplate& prompt_template() const { return source_.prompt_template(); }
  /// How many options a prompt shows; 0: none.
  std::int64_t num_options() const { return source_.num_options(); }

 private:
  std::vector<std::uint32_t> options_beside(std::span<const std::uint32_t> history) const;

  const ItemIndex& index_;
  data::PromptSource source_;
  std::size_t num_answer_tokens_ = 0;        // of the longest title
  std::vector<std::uint32_t> most_popular_;  // by train_count, different titles
};

}  // namespace allreco::recommend
