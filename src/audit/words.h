// Words: texts as numbers, so that they are compared quickly: runs of letters and digits in lower case, one number for
// each different word.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace allreco::audit {

using Words = std::vector<std::uint32_t>;

/// Numbers words in the order of their first appearance. Not for several threads.
class Vocabulary {
 public:
  /// Bytes of other alphabets count as letters; letters are made lower case in ASCII alone.
  Words words_of(std::string_view text);

 private:
  std::unordered_map<std::string, std::uint32_t> numbers_;
};

/// Sorted hashes of the runs of `length` words, each once. Of a shorter text: one, of all its words; none of an empty.
std::vector<std::uint64_t> shingles_of(const Words& words, std::size_t length);

/// The size of the intersection of two sorted lists without repeats.
std::size_t num_common(const std::vector<std::uint64_t>& a, const std::vector<std::uint64_t>& b);

/// |a and b| / |a or b|; 0 where both are empty.
double jaccard(const std::vector<std::uint64_t>& a, const std::vector<std::uint64_t>& b);

/// Finds which of many phrases (runs of words) stand in a text.
class PhraseIndex {
 public:
  /// Empty phrases are never found.
  explicit PhraseIndex(std::vector<Words> phrases);
  /// Indices of those in `text`, ascending, each once.
  std::vector<std::uint32_t> find_in(const Words& text) const;

 private:
  std::vector<Words> phrases_;
  std::unordered_map<std::uint64_t, std::vector<std::uint32_t>>
      by_beginning_;  // hash of the first words, and their number
};

/// Whether `phrase` stands in `text`; an empty one does not.
bool contains(const Words& text, const Words& phrase);

}  // namespace allreco::audit
