#include "audit/leaks.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "audit/near_duplicates.h"

namespace allreco::audit {

namespace {

constexpr std::size_t kShingle = 3;  // words

template <class Is>
Share count_of(const Examples& examples, const Is& is) {
  return share_of(std::count_if(examples.begin(), examples.end(), is), std::ssize(examples));
}

using Keys = std::unordered_set<std::uint64_t>;

/// Shares of the examples of `split` whose key `train` has.
Share share_in(const AuditSplit& split, const Keys& train, std::uint64_t AuditExample::*key) {
  const auto count = std::count_if(split.examples.begin(), split.examples.end(),
                                   [&](const AuditExample& example) { return train.contains(example.*key); });
  return share_of(count, std::ssize(split.examples));
}

std::vector<Shingles> shingles_of_split(const AuditData& data, const AuditSplit& split) {
  std::vector<Shingles> all;
  for (const AuditExample& example : split.examples) {
    Words words = data.history_of(example);
    if (words.empty()) {
      all.emplace_back();  // nothing but the frame and an answer: the same prompt says more
      continue;
    }
    const Words& answer = data.answer_words[example.answer];
    words.insert(words.end(), answer.begin(), answer.end());
    all.push_back(shingles_of(words, kShingle));
  }
  return all;
}

/// The prompts in which each answer stands, by answer.
std::vector<std::vector<std::uint32_t>> prompts_with(const AuditData& data, const Examples& prompts,
                                                     const Examples& tested_on) {
  std::vector<Words> phrases(data.answers.size());
  for (const AuditExample* example : tested_on) phrases[example->answer] = data.answer_words[example->answer];
  const PhraseIndex index(std::move(phrases));
  std::vector<std::vector<std::uint32_t>> found(data.answers.size());
  for (std::size_t i = 0; i < prompts.size(); ++i)
    for (const std::uint32_t answer : index.find_in(prompts[i]->outside))
      found[answer].push_back(static_cast<std::uint32_t>(i));
  return found;
}

/// Says whether two prompts are of one shopper.
class Shoppers {
 public:
  Shoppers(const AuditData& data, const Examples& learned_on) : data_(data), learned_on_(learned_on) {
    const auto has_user = [](const AuditExample* example) { return example->user.has_value(); };
    known_ = std::any_of(learned_on.begin(), learned_on.end(), has_user);
    if (known_) return;
    for (const AuditExample* example : learned_on)
      histories_.push_back(shingles_of(data.history_of(*example), kShingle));
  }

  bool are_known() const { return known_; }
  bool any_is_of(const AuditExample& tested, const std::vector<std::uint32_t>& prompts) const {
    if (known_)
      return std::any_of(prompts.begin(), prompts.end(),
                         [&](std::uint32_t i) { return learned_on_[i]->user == tested.user; });
    const Shingles history = shingles_of(data_.history_of(tested), kShingle);
    return !history.empty() && std::any_of(prompts.begin(), prompts.end(), [&](std::uint32_t i) {
      return 2 * num_common(history, histories_[i]) >= history.size();
    });
  }

 private:
  const AuditData& data_;
  const Examples& learned_on_;
  std::vector<Shingles> histories_;
  bool known_ = false;
};

/// How often each shopper's targets have each time.
std::map<std::pair<std::uint64_t, std::int64_t>, std::int64_t> targets_by_time(const AuditData& data) {
  std::map<std::pair<std::uint64_t, std::int64_t>, std::int64_t> counts;
  for (const AuditSplit& split : data.splits)
    for (const AuditExample& example : split.examples)
      if (example.user && example.timestamp) ++counts[{*example.user, *example.timestamp}];
  return counts;
}

std::string name_of_tested(const AuditData& data) { return data.split("test") != nullptr ? "test" : "validation"; }

}  // namespace

BaseRates base_rates(const AuditData& data, const Examples& learned_on, const Examples& tested_on) {
  BaseRates rates;
  std::vector<std::int64_t> counts(data.answers.size());
  for (const AuditExample* example : learned_on) ++counts[example->answer];
  rates.num_answers = std::count_if(counts.begin(), counts.end(), [](std::int64_t count) { return count > 0; });
  if (counts.empty()) return rates;
  const auto most = std::max_element(counts.begin(), counts.end());
  const auto answer = static_cast<std::uint32_t>(most - counts.begin());
  rates.most_frequent_answer = data.answers[answer];
  rates.most_frequent = share_of(*most, std::ssize(learned_on));
  rates.majority_accuracy = count_of(tested_on, [&](const AuditExample* e) { return e->answer == answer; });
  rates.answers_not_in_train = count_of(tested_on, [&](const AuditExample* e) { return counts[e->answer] == 0; });
  return rates;
}

Duplicates find_duplicates(const AuditData& data) {
  Duplicates duplicates{.near_threshold = kNearThreshold};
  const AuditSplit* train = data.split("train");
  if (train == nullptr) return duplicates;
  Keys whole, prompts;
  for (const AuditExample& example : train->examples) {
    whole.insert(example.whole_key);
    prompts.insert(example.prompt_key);
  }
  duplicates.within_train =
      share_of(std::ssize(train->examples) - static_cast<std::int64_t>(whole.size()), std::ssize(train->examples));
  const std::vector<Shingles> of_train = shingles_of_split(data, *train);
  for (const AuditSplit& split : data.splits) {
    if (&split == train) continue;
    duplicates.exact.emplace_back(split.name, share_in(split, whole, &AuditExample::whole_key));
    duplicates.same_prompt.emplace_back(split.name, share_in(split, prompts, &AuditExample::prompt_key));
    const std::vector<bool> near = has_near(shingles_of_split(data, split), of_train, kNearThreshold);
    duplicates.near.emplace_back(split.name,
                                 share_of(std::count(near.begin(), near.end(), true), std::ssize(split.examples)));
  }
  return duplicates;
}

Visibility find_visible_answers(const AuditData& data, const Examples& learned_on, const Examples& tested_on) {
  Visibility visibility;
  const auto prompts = prompts_with(data, learned_on, tested_on);
  const Shoppers shoppers(data, learned_on);
  visibility.shoppers_known_by = shoppers.are_known() ? "user" : "history";
  visibility.answer_in_own_prompt = count_of(tested_on, [&](const AuditExample* example) {
    return contains(example->outside, data.answer_words[example->answer]);
  });
  visibility.answer_in_any_train_prompt =
      count_of(tested_on, [&](const AuditExample* example) { return !prompts[example->answer].empty(); });
  visibility.answer_in_train_prompt_of_shopper = count_of(
      tested_on, [&](const AuditExample* example) { return shoppers.any_is_of(*example, prompts[example->answer]); });
  return visibility;
}

core::Part<Times> compare_times(const AuditData& data, const data::DatasetInfo& info, const Examples& learned_on,
                                const Examples& tested_on) {
  const auto has_time = [](const AuditExample* example) { return example->timestamp.has_value(); };
  if (!std::any_of(tested_on.begin(), tested_on.end(), has_time))
    return core::Part<Times>::none("the examples have no times");
  Times times;
  const core::Json::json_pointer place("/share_of_targets_tied_with_last_item/" + name_of_tested(data));
  if (info.json.contains(place) && info.json.at(place).is_number())
    times.tied_with_last_item = info.json.at(place).get<double>();
  const auto counts = targets_by_time(data);
  times.same_time_as_another_target = count_of(tested_on, [&](const AuditExample* e) {
    return e->user && e->timestamp && counts.at({*e->user, *e->timestamp}) > 1;
  });
  std::optional<std::int64_t> newest;
  for (const AuditExample* example : learned_on)
    if (example->timestamp) newest = std::max(newest.value_or(*example->timestamp), *example->timestamp);
  times.before_a_train_target =
      count_of(tested_on, [&](const AuditExample* e) { return newest && e->timestamp && *e->timestamp < *newest; });
  return {times, ""};
}

}  // namespace allreco::audit
