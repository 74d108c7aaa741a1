// Tokens of the words met before. Direct-mapped: bounded, and a new word simply takes the place of another.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/bpe.h"

namespace allreco::data {

/// One thread at a time.
class WordCache {
 public:
  struct Entry {
    std::string word;  // empty: free
    std::vector<TokenId> ids;
  };

  static bool takes(std::string_view word) { return word.size() <= kMaxBytes; }
  /// The word's place; its own when `entry.word == word`.
  Entry& place_of(std::string_view word) { return entries_[std::hash<std::string_view>()(word) % kNumEntries]; }

 private:
  static constexpr size_t kMaxBytes = 64;
  static constexpr size_t kNumEntries = 1 << 15;
  std::vector<Entry> entries_{kNumEntries};
};

}  // namespace allreco::data
