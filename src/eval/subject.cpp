#include "eval/subject.h"

#include <algorithm>

namespace allreco::eval {

namespace {

Subject subject_of(data::Example example, std::int64_t index, const std::vector<std::int64_t>& eos) {
  Subject subject;
  subject.index = index;
  subject.user = example.user;
  subject.timestamp = example.timestamp;
  subject.target = example.target;
  subject.last_item = example.last_item;
  const bool rankable = example.gold && example.candidates.size() > 1 && *example.gold < example.candidates.size();
  subject.has_unusable_candidates = !rankable && !example.candidates.empty();
  if (rankable) {
    subject.candidates = std::move(example.candidates);
    subject.gold = *example.gold;
  }
  // The very first token is never predicted, so it is no part of an answer.
  const auto begin = static_cast<std::ptrdiff_t>(std::max<std::int64_t>(example.prompt_length, 1));
  if (begin < std::ssize(example.tokens)) subject.answer.assign(example.tokens.begin() + begin, example.tokens.end());
  if (!subject.answer.empty() && std::binary_search(eos.begin(), eos.end(), subject.answer.back())) {
    subject.eos = subject.answer.back();
    subject.answer.pop_back();
  }
  return subject;
}

}  // namespace

std::vector<std::int64_t> end_tokens(const data::DatasetInfo& info, const std::vector<std::int64_t>& model_eos) {
  std::vector<std::int64_t> ids = model_eos;
  if (info.eos_id >= 0) ids.push_back(info.eos_id);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

std::int64_t num_to_evaluate(const data::Dataset& dataset, std::int64_t max_eval_samples) {
  return max_eval_samples > 0 ? std::min(max_eval_samples, dataset.size()) : dataset.size();
}

std::vector<Subject> read_subjects(const data::Dataset& dataset, std::int64_t count,
                                   const std::vector<std::int64_t>& eos) {
  std::vector<Subject> subjects;
  subjects.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) subjects.push_back(subject_of(dataset.example(i), i, eos));
  return subjects;
}

}  // namespace allreco::eval
