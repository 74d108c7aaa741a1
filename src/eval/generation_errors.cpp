#include <algorithm>
#include <numeric>
#include <set>

#include "eval/error_analysis.h"

namespace allreco::eval {

namespace {

constexpr std::int64_t kNearCopyShare = 5;  // one edit in so many bytes of the right answer

}  // namespace

std::int64_t edit_distance(std::string_view a, std::string_view b, std::int64_t limit) {
  if (std::abs(std::ssize(a) - std::ssize(b)) > limit) return limit + 1;
  std::vector<std::int64_t> row(b.size() + 1);  // distances of the first so many bytes of b to those of a so far
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::int64_t diagonal = row[0]++;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::int64_t replaced = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
    if (*std::min_element(row.begin(), row.end()) > limit) return limit + 1;
  }
  return std::min(row.back(), limit + 1);
}

GenerationErrors generation_errors(std::span<const EvalExample> examples, const std::vector<std::string>& answers,
                                   const std::vector<std::string>& right, const std::vector<data::Item>& catalogue) {
  std::set<std::string_view> titles;
  for (const data::Item& item : catalogue) titles.insert(item.title);
  GenerationErrors errors;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    const std::string& answer = answers[i];
    if (answer == right[i]) continue;
    const auto is_answer = [&](std::uint32_t item) { return catalogue[item].title == answer; };
    const std::int64_t limit = std::max<std::int64_t>(1, std::ssize(right[i]) / kNearCopyShare);
    if (answer.empty())
      ++errors.empty;
    else if (std::any_of(examples[i].candidates.begin(), examples[i].candidates.end(), is_answer))
      ++errors.another_option;
    else if (titles.contains(answer))
      ++errors.another_item;
    else if (edit_distance(answer, right[i], limit) <= limit)
      ++errors.near_copy;
    else
      ++errors.not_in_catalogue;
  }
  return errors;
}

}  // namespace allreco::eval
