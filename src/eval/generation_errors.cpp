#include <algorithm>
#include <set>
#include <string_view>

#include "core/edit_distance.h"
#include "eval/error_analysis.h"

namespace allreco::eval {

namespace {

constexpr std::size_t kNearCopyShare = 5;  // one edit in so many bytes of the right answer

}  // namespace

GenerationErrors generation_errors(std::span<const EvalExample> examples, const std::vector<std::string>& answers,
                                   const std::vector<std::string>& right, const std::vector<data::Item>& catalogue) {
  std::set<std::string_view> titles;
  for (const data::Item& item : catalogue) titles.insert(item.title);
  GenerationErrors errors;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    const std::string& answer = answers[i];
    if (answer == right[i]) continue;
    const auto is_answer = [&](std::uint32_t item) { return catalogue[item].title == answer; };
    const auto& target = examples[i].target;
    // An answer of the data may differ from its item's title, where it was cut or cleaned.
    const bool is_own_title = target && *target < catalogue.size() && is_answer(*target);
    const std::size_t limit = std::max<std::size_t>(1, right[i].size() / kNearCopyShare);
    if (answer.empty())
      ++errors.empty;
    else if (!is_own_title && std::any_of(examples[i].candidates.begin(), examples[i].candidates.end(), is_answer))
      ++errors.another_option;
    else if (!is_own_title && titles.contains(answer))
      ++errors.another_item;
    else if (is_own_title || core::edit_distance(answer, right[i], limit) <= limit)
      ++errors.near_copy;
    else
      ++errors.not_in_catalogue;
  }
  return errors;
}

}  // namespace allreco::eval
