// Cutting words at matches, in the ways that Split calls behaviours.
#pragma once
#include <string>

#include "data/tokenizer/pre_tokenizers.h"

namespace allreco::data {

enum class Behavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

/// UserError for another name.
Behavior behavior_of(const std::string& name, const std::string& where);

/// Cuts every word at what find(text, matches) finds in it. `invert`: what lies between is the match.
template <class Find>
void cut_words(Words& words, Behavior behavior, bool invert, Find find);

/// The parts of one word, appended to words.other_list; words.matches holds the matches in it.
void append_parts(Words& words, const Word& word, Behavior behavior, bool invert);

template <class Find>
void cut_words(Words& words, Behavior behavior, bool invert, Find find) {
  words.other_list.clear();
  for (const Word& word : words.list) {
    find(std::string_view(words.text).substr(word.begin, word.end - word.begin), words.matches);
    append_parts(words, word, behavior, invert);
  }
  words.list.swap(words.other_list);
}

}  // namespace allreco::data
