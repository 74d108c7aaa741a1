#include "audit/words.h"

#include <algorithm>

#include "core/random.h"

namespace allreco::audit {

namespace {

bool is_word_byte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::uint64_t hash_of(const std::uint32_t* words, std::size_t count) {
  std::uint64_t hash = core::mix_key(count, {});
  for (std::size_t i = 0; i < count; ++i) {
    hash ^= words[i];
    hash *= 0x9E3779B97F4A7C15U;  // Fibonacci hashing; the shift lets high bits reach low ones
    hash ^= hash >> 32;
  }
  return hash;
}

constexpr std::size_t kBeginning = 3;  // words of a phrase that are looked up before the rest is compared

}  // namespace

Words Vocabulary::words_of(std::string_view text) {
  Words words;
  std::string word;
  const auto finish = [&] {
    if (word.empty()) return;
    words.push_back(numbers_.try_emplace(word, static_cast<std::uint32_t>(numbers_.size())).first->second);
    word.clear();
  };
  for (const char c : text) {
    if (is_word_byte(c))
      word += lower(c);
    else
      finish();
  }
  finish();
  return words;
}

std::vector<std::uint64_t> shingles_of(const Words& words, std::size_t length) {
  std::vector<std::uint64_t> shingles;
  if (words.empty()) return shingles;
  if (words.size() < length) return {hash_of(words.data(), words.size())};
  for (std::size_t i = 0; i + length <= words.size(); ++i) shingles.push_back(hash_of(words.data() + i, length));
  std::sort(shingles.begin(), shingles.end());
  shingles.erase(std::unique(shingles.begin(), shingles.end()), shingles.end());
  return shingles;
}

std::size_t num_common(const std::vector<std::uint64_t>& a, const std::vector<std::uint64_t>& b) {
  std::size_t common = 0;
  for (auto x = a.begin(), y = b.begin(); x != a.end() && y != b.end();) {
    if (*x == *y) {
      ++common, ++x, ++y;
    } else if (*x < *y) {
      ++x;
    } else {
      ++y;
    }
  }
  return common;
}

double jaccard(const std::vector<std::uint64_t>& a, const std::vector<std::uint64_t>& b) {
  if (a.empty() && b.empty()) return 0;
  const std::size_t common = num_common(a, b);
  return static_cast<double>(common) / static_cast<double>(a.size() + b.size() - common);
}

PhraseIndex::PhraseIndex(std::vector<Words> phrases) : phrases_(std::move(phrases)) {
  for (std::size_t i = 0; i < phrases_.size(); ++i) {
    if (phrases_[i].empty()) continue;
    by_beginning_[hash_of(phrases_[i].data(), std::min(kBeginning, phrases_[i].size()))].push_back(
        static_cast<std::uint32_t>(i));
  }
}

std::vector<std::uint32_t> PhraseIndex::find_in(const Words& text) const {
  std::vector<std::uint32_t> found;
  for (std::size_t begin = 0; begin < text.size(); ++begin) {
    for (std::size_t length = 1; length <= std::min(kBeginning, text.size() - begin); ++length) {
      const auto candidates = by_beginning_.find(hash_of(text.data() + begin, length));
      if (candidates == by_beginning_.end()) continue;
      for (const std::uint32_t i : candidates->second) {
        const Words& phrase = phrases_[i];
        if (phrase.size() <= text.size() - begin &&
            std::equal(phrase.begin(), phrase.end(), text.begin() + static_cast<std::ptrdiff_t>(begin)))
          found.push_back(i);
      }
    }
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

bool contains(const Words& text, const Words& phrase) {
  return !phrase.empty() && std::search(text.begin(), text.end(), phrase.begin(), phrase.end()) != text.end();
}

}  // namespace allreco::audit
