// The merges of a BPE model, and merging a word with them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace allreco::data {

/// A part of a word while it is merged; a doubly linked list within a vector.
struct Symbol {
  std::int32_t id = -1;  // -1: merged into the one before it
  std::int32_t previous = -1, next = -1;
};

/// A merge that may be done: of the symbol at `position` with the next one, into `result`.
struct Candidate {
  std::uint32_t priority;
  std::int32_t position;
  std::int32_t result;
};

/// Pairs of ids to priority and result, open addressing.
class MergeTable {
 public:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  struct Merge {
    std::uint32_t priority = kNone;
    std::int32_t result = -1;
  };

  void reserve(size_t num_merges);
  /// A pair that is there already gets the new priority, as in the library.
  void set(std::int32_t left, std::int32_t right, Merge merge);
  Merge find(std::int32_t left, std::int32_t right) const;

  /// Merges until nothing is left to merge; what remains is linked from symbols[0] on. Symbols come unlinked.
  void merge_few(std::vector<Symbol>& symbols, std::vector<std::uint32_t>& priorities) const;  // O(n²), for short words
  void merge_many(std::vector<Symbol>& symbols, std::vector<Candidate>& heap) const;           // O(n log n)

 private:
  struct Slot {
    std::uint64_t pair = kEmpty;
    Merge merge;
  };
  static constexpr std::uint64_t kEmpty = UINT64_MAX;  // ids are not negative
  size_t place_of(std::uint64_t pair) const;

  std::vector<Slot> slots_{2};
  unsigned shift_ = 63;
};

}  // namespace allreco::data
