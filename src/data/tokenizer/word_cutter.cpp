#include "data/tokenizer/word_cutter.h"

#include <algorithm>

#include "core/check.h"

namespace allreco::data {

namespace {

struct Part {
  size_t begin, end;
  bool is_match;
};

/// Matches and what lies between them, empty ones included, as the library lists them.
std::vector<Part> parts_of(const std::vector<Pattern::Span>& matches, size_t size, bool invert) {
  std::vector<Part> parts;
  size_t end = 0;
  for (const Pattern::Span& match : matches) {
    if (match.begin > end) parts.push_back({end, match.begin, invert});
    parts.push_back({match.begin, match.end, !invert});
    end = match.end;
  }
  if (end < size) parts.push_back({end, size, invert});
  return parts;
}

/// A match joins the part before it in `parts`, unless that is a match as well; all == true: equals join.
std::vector<Part> joined(const std::vector<Part>& parts, bool equals_join) {
  std::vector<Part> result;
  bool was_match = false;
  for (const Part& part : parts) {
    const bool joins = equals_join ? part.is_match == was_match : part.is_match && !was_match;
    if (joins && !result.empty()) {
      result.back().begin = std::min(result.back().begin, part.begin);
      result.back().end = std::max(result.back().end, part.end);
    } else {
      result.push_back(part);
    }
    was_match = part.is_match;
  }
  return result;
}

std::vector<Part> arranged(std::vector<Part> parts, Behavior behavior) {
  switch (behavior) {
    case Behavior::removed:
      std::erase_if(parts, [](const Part& part) { return part.is_match; });
      return parts;
    case Behavior::isolated:
      return parts;
    case Behavior::merged_with_previous:
      return joined(parts, false);
    case Behavior::contiguous:
      return joined(parts, true);
    case Behavior::merged_with_next:
      std::reverse(parts.begin(), parts.end());
      parts = joined(parts, false);
      std::reverse(parts.begin(), parts.end());
      return parts;
  }
  core::fault("an unknown behaviour of Split");
}

}  // namespace

Behavior behavior_of(const std::string& name, const std::string& where) {
  if (name == "Removed") return Behavior::removed;
  if (name == "Isolated") return Behavior::isolated;
  if (name == "MergedWithPrevious") return Behavior::merged_with_previous;
  if (name == "MergedWithNext") return Behavior::merged_with_next;
  if (name == "Contiguous") return Behavior::contiguous;
  core::user_error("{}: behavior {} is not one of Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous",
                   where, name);
}

void append_parts(Words& words, const Word& word, Behavior behavior, bool invert) {
  const auto append = [&](size_t begin, size_t end) {
    if (end > begin) words.other_list.push_back({word.begin + begin, word.begin + end, word.is_first && begin == 0});
  };
  if (behavior == Behavior::isolated) {  // the usual one, without a list of parts
    size_t end = 0;
    for (const Pattern::Span& match : words.matches) {
      append(end, match.begin);
      append(match.begin, match.end);
      end = match.end;
    }
    return append(end, word.end - word.begin);
  }
  for (const Part& part : arranged(parts_of(words.matches, word.end - word.begin, invert), behavior))
    append(part.begin, part.end);
}

}  // namespace allreco::data
