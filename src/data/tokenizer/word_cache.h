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
  static bool takes(std::string_view word) { return word.size() <= kMaxBytes; }
  /// The tokens of a word; encode(ids) fills an empty vector with them where the word is new. REQUIRES a word that it
  /// takes, not an empty one.
  template <class Encode>
  const std::vector<TokenId>& ids_of(std::string_view word, const Encode& encode) {
    Entry& entry = entries_[std::hash<std::string_view>()(word) % kNumEntries];
    if (entry.word != word) {
      entry.word.clear();  // free, should encode throw
      entry.ids.clear();
      encode(entry.ids);
      entry.word.assign(word);
    }
    return entry.ids;
  }

 private:
  struct Entry {
    std::string word;  // empty: free
    std::vector<TokenId> ids;
  };
  static constexpr size_t kMaxBytes = 64;
  static constexpr size_t kNumEntries = 1 << 15;
  std::vector<Entry> entries_{kNumEntries};
};

}  // namespace allreco::data
