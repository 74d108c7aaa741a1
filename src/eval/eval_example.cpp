#include "eval/eval_example.h"

#include <algorithm>

namespace allreco::eval {

namespace {

EvalExample eval_example_of(data::Example example, std::int64_t index, const std::vector<std::int64_t>& eos) {
  EvalExample eval_example;
  eval_example.index = index;
  eval_example.user = example.user;
  eval_example.timestamp = example.timestamp;
  eval_example.target = example.target;
  eval_example.last_item = example.last_item;
  eval_example.history = std::move(example.history);
  const bool rankable = has_rankable_candidates(example);
  eval_example.has_unusable_candidates = !rankable && !example.candidates.empty();
  if (rankable) {
    eval_example.candidates = std::move(example.candidates);
    eval_example.gold = *example.gold;
  }
  // The very first token is never predicted, so it is no part of an answer.
  const auto begin = static_cast<std::ptrdiff_t>(std::max<std::int64_t>(example.prompt_length, 1));
  if (begin < std::ssize(example.tokens))
    eval_example.answer.assign(example.tokens.begin() + begin, example.tokens.end());
  if (!eval_example.answer.empty() && std::binary_search(eos.begin(), eos.end(), eval_example.answer.back())) {
    eval_example.eos = eval_example.answer.back();
    eval_example.answer.pop_back();
  }
  return eval_example;
}

}  // namespace

std::vector<std::int64_t> end_tokens(const data::DatasetInfo& info, const std::vector<std::int64_t>& model_eos) {
  std::vector<std::int64_t> ids = model_eos;
  if (info.eos_id >= 0) ids.push_back(info.eos_id);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

bool has_rankable_candidates(const data::Example& example) {
  return example.gold && example.candidates.size() > 1 && *example.gold < example.candidates.size();
}

std::int64_t num_to_evaluate(const data::Dataset& dataset, std::int64_t max_eval_samples) {
  return max_eval_samples > 0 ? std::min(max_eval_samples, dataset.size()) : dataset.size();
}

std::vector<EvalExample> read_eval_examples(const data::Dataset& dataset, std::int64_t count,
                                            const std::vector<std::int64_t>& eos) {
  std::vector<EvalExample> eval_examples;
  eval_examples.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) eval_examples.push_back(eval_example_of(dataset.example(i), i, eos));
  return eval_examples;
}

}  // namespace allreco::eval
