#include "data/input/token_rows.h"

#include <fmt/core.h>

#include <algorithm>

namespace allreco::data {
using core::Json;

namespace {

constexpr std::int64_t kIgnored = -100;

std::string read_integers(const Json& row, const char* key, std::vector<std::int64_t>& values) {
  const auto found = row.find(key);
  if (found == row.end() || !found->is_array()) return fmt::format("no list {} in it", key);
  for (size_t i = 0; i < found->size(); ++i) {
    const auto value = core::whole_number<std::int64_t>((*found)[i]);
    if (!value && (*found)[i].is_number_integer())
      return fmt::format("{}[{}] = {} is outside what a token id can be", key, i, (*found)[i].dump());
    if (!value) return fmt::format("{}[{}] is no integer", key, i);
    values.push_back(*value);
  }
  return "";
}

std::string check_labels(const std::vector<std::int64_t>& ids, const std::vector<std::int64_t>& labels,
                         size_t prompt_length) {
  for (size_t i = prompt_length; i < labels.size(); ++i) {
    if (labels[i] == kIgnored)
      return fmt::format("labels[{}] is -100 after a supervised one: they must be a suffix", i);
    if (labels[i] != ids[i])
      return fmt::format("labels[{}] is {}, neither -100 nor input_ids[{}] = {}", i, labels[i], i, ids[i]);
  }
  return prompt_length >= labels.size() || labels.size() < 2 ? "no target in it (labels[0] is none)" : "";
}

}  // namespace

std::string parse_token_row(const Json& row, std::int64_t vocab_size, Example& example) {
  std::vector<std::int64_t> ids;
  std::vector<std::int64_t> labels;
  std::string problem = read_integers(row, "input_ids", ids);
  if (problem.empty()) problem = read_integers(row, "labels", labels);
  if (!problem.empty()) return problem;
  if (ids.size() != labels.size()) return fmt::format("{} input_ids but {} labels", ids.size(), labels.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= vocab_size)
      return fmt::format("input_ids[{}] = {} is outside [0, {})", i, ids[i], vocab_size);
  }
  const auto first = std::find_if(labels.begin(), labels.end(), [](std::int64_t label) { return label != kIgnored; });
  const auto prompt_length = static_cast<size_t>(first - labels.begin());
  problem = check_labels(ids, labels, prompt_length);
  if (!problem.empty()) return problem;
  example.prompt_length = static_cast<std::int64_t>(prompt_length);
  example.tokens.clear();
  for (std::int64_t id : ids) example.tokens.push_back(static_cast<TokenId>(id));
  return "";
}

}  // namespace allreco::data
