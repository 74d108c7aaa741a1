#include "data/tokenizer/merge_table.h"

#include <algorithm>
#include <bit>
#include <cstddef>

namespace allreco::data {

namespace {

std::uint64_t pair_of(std::int32_t left, std::int32_t right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
}

bool comes_later(const Candidate& a, const Candidate& b) {
  return a.priority != b.priority ? a.priority > b.priority : a.position > b.position;
}

void link(std::vector<Symbol>& symbols) {
  const auto count = static_cast<std::int32_t>(symbols.size());
  for (std::int32_t i = 0; i < count; ++i) {
    symbols[static_cast<size_t>(i)].previous = i - 1;
    symbols[static_cast<size_t>(i)].next = i + 1 < count ? i + 1 : -1;
  }
}

}  // namespace

void MergeTable::reserve(size_t num_merges) {
  const size_t size = std::bit_ceil(2 * num_merges + 2);
  slots_.assign(size, Slot());
  shift_ = 64 - static_cast<unsigned>(std::bit_width(size) - 1);
}

size_t MergeTable::place_of(std::uint64_t pair) const {
  const std::uint64_t mixed = (pair ^ pair >> 29) * 0x9E3779B97F4A7C15u;  // Fibonacci hashing
  size_t place = mixed >> shift_;
  while (slots_[place].pair != pair && slots_[place].pair != kEmpty) place = (place + 1) & (slots_.size() - 1);
  return place;
}

void MergeTable::set(std::int32_t left, std::int32_t right, Merge merge) {
  const std::uint64_t pair = pair_of(left, right);
  slots_[place_of(pair)] = {pair, merge};
}

MergeTable::Merge MergeTable::find(std::int32_t left, std::int32_t right) const {
  return slots_[place_of(pair_of(left, right))].merge;
}

void MergeTable::merge_few(std::vector<Symbol>& symbols, std::vector<std::uint32_t>& priorities) const {
  size_t count = symbols.size();
  priorities.assign(count, kNone);
  for (size_t i = 0; i + 1 < count; ++i) priorities[i] = find(symbols[i].id, symbols[i + 1].id).priority;
  while (count > 1) {
    const auto begin = priorities.begin(), end = begin + static_cast<std::ptrdiff_t>(count - 1);
    const auto lowest = std::min_element(begin, end);  // the leftmost of equals
    if (*lowest == kNone) break;
    const auto at = static_cast<size_t>(lowest - begin);
    symbols[at].id = find(symbols[at].id, symbols[at + 1].id).result;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    priorities.erase(begin + static_cast<std::ptrdiff_t>(at) + 1);
    --count;
    if (at > 0) priorities[at - 1] = find(symbols[at - 1].id, symbols[at].id).priority;
    priorities[at] = at + 1 < count ? find(symbols[at].id, symbols[at + 1].id).priority : kNone;
  }
  link(symbols);
}

void MergeTable::merge_many(std::vector<Symbol>& symbols, std::vector<Candidate>& heap) const {
  link(symbols);
  heap.clear();
  const auto at = [&](std::int32_t i) -> Symbol& { return symbols[static_cast<size_t>(i)]; };
  const auto candidate = [&](std::int32_t i) -> Candidate {
    const Merge merge = i < 0 || at(i).next < 0 ? Merge() : find(at(i).id, at(at(i).next).id);
    return {merge.priority, i, merge.result};
  };
  const auto push = [&](std::int32_t i) {
    const Candidate found = candidate(i);
    if (found.priority == kNone) return;
    heap.push_back(found);
    std::push_heap(heap.begin(), heap.end(), comes_later);
  };
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(symbols.size()); ++i) {
    if (const Candidate found = candidate(i); found.priority != kNone) heap.push_back(found);
  }
  std::make_heap(heap.begin(), heap.end(), comes_later);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), comes_later);
    const Candidate top = heap.back();
    heap.pop_back();
    Symbol& left = at(top.position);
    if (left.id < 0 || candidate(top.position).result != top.result) continue;  // one of the two has changed since
    Symbol& right = at(left.next);
    left.id = top.result;
    right.id = -1;
    left.next = right.next;
    if (left.next >= 0) at(left.next).previous = top.position;
    push(left.previous);
    push(top.position);
  }
}

}  // namespace allreco::data
