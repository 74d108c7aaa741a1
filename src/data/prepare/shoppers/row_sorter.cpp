#include "data/prepare/shoppers/row_sorter.h"

#include <algorithm>
#include <queue>
#include <string>
#include <utility>

namespace allreco::data {

namespace {

constexpr std::size_t kRowChunkBytes = std::size_t{1} << 20;
constexpr std::size_t kMostRuns = 64;  // then they are merged into one: each takes a file and a buffer
constexpr std::size_t kTypicalRowBytes = 48;

/// A run, read row by row.
class Run {
 public:
  Run(const core::Spool& spool, std::size_t buffer_bytes) : reader_(spool, buffer_bytes) {}

  bool next() {
    if (reader_.at_end()) return false;
    bytes_.resize(sizeof(PackedHeader));
    reader_.read_into(bytes_.data(), sizeof(PackedHeader));
    const std::size_t size = packed_size(header_of(bytes_.data()));
    bytes_.resize(size);
    reader_.read_into(bytes_.data() + sizeof(PackedHeader), size - sizeof(PackedHeader));
    row_ = unpack_row(bytes_.data());
    prefix_ = prefix_of(row_.user);
    return true;
  }
  const std::string& bytes() const { return bytes_; }
  const RowView& row() const { return row_; }
  bool before(const Run& other) const {
    return prefix_ != other.prefix_ ? prefix_ < other.prefix_ : comes_before(row_, other.row_);
  }

 private:
  core::SpoolReader reader_;
  std::string bytes_;
  RowView row_;
  std::uint64_t prefix_ = 0;
};

}  // namespace

RowSorter::RowSorter(std::filesystem::path directory, std::uint64_t memory_bytes)
    : directory_(std::move(directory)), memory_bytes_(memory_bytes) {
  // Untouched pages take no memory; a vector that grows would take half as much again.
  if (memory_bytes > 0) entries_.reserve(memory_bytes / (kTypicalRowBytes + sizeof(Entry)));
}

RowSorter::~RowSorter() = default;

void RowSorter::add(std::string_view packed_row) {
  const std::uint64_t more = packed_row.size() + sizeof(Entry);
  const bool is_full =
      memory_bytes_ > 0 && (held_bytes_ + more > memory_bytes_ || entries_.size() == entries_.capacity());
  if (is_full && !entries_.empty()) spill();
  if (chunks_.empty() || used_ + packed_row.size() > chunk_bytes_) {
    chunk_bytes_ = std::max(kRowChunkBytes, packed_row.size());
    chunks_.push_back(std::make_unique_for_overwrite<char[]>(chunk_bytes_));
    used_ = 0;
  }
  char* const row = chunks_.back().get() + used_;
  std::memcpy(row, packed_row.data(), packed_row.size());
  used_ += packed_row.size();
  held_bytes_ += more;
  entries_.push_back({prefix_of(unpack_row(row).user), row});
  ++num_rows_;
}

void RowSorter::sort() {
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
    return a.prefix != b.prefix ? a.prefix < b.prefix : comes_before(unpack_row(a.row), unpack_row(b.row));
  });
}

void RowSorter::clear() {
  chunks_.clear();
  entries_.clear();
  used_ = chunk_bytes_ = 0;
  held_bytes_ = 0;
}

void RowSorter::spill() {
  sort();
  auto run = std::make_unique<core::Spool>(directory_, 0);
  for (const Entry& entry : entries_) run->append({entry.row, packed_size(header_of(entry.row))});
  spilled_bytes_ += run->size();
  clear();
  runs_.push_back(std::move(run));
  if (runs_.size() < kMostRuns) return;
  auto joined = std::make_unique<core::Spool>(directory_, 0);
  merge([&](std::string_view packed, const RowView&) { joined->append(packed); });
  spilled_bytes_ += joined->size();
  runs_.clear();
  runs_.push_back(std::move(joined));
}

void RowSorter::merge(const std::function<void(std::string_view packed, const RowView&)>& visit) {
  const std::uint64_t share = memory_bytes_ / (2 * runs_.size());
  const auto buffer = static_cast<std::size_t>(std::clamp<std::uint64_t>(share, 1 << 14, 1 << 20));
  std::vector<std::unique_ptr<Run>> open;
  const auto later = [](const Run* a, const Run* b) { return b->before(*a); };
  std::priority_queue<Run*, std::vector<Run*>, decltype(later)> queue(later);
  for (const auto& spool : runs_) {
    open.push_back(std::make_unique<Run>(*spool, buffer));
    if (open.back()->next()) queue.push(open.back().get());
  }
  while (!queue.empty()) {
    Run* const first = queue.top();
    queue.pop();
    visit(first->bytes(), first->row());
    if (first->next()) queue.push(first);
  }
}

void RowSorter::for_each_sorted(const std::function<void(const RowView&)>& visit) {
  if (runs_.empty()) {
    sort();
    for (const Entry& entry : entries_) visit(unpack_row(entry.row));
  } else {
    if (!entries_.empty()) spill();
    std::vector<Entry>().swap(entries_);
    merge([&](std::string_view, const RowView& row) { visit(row); });
  }
  clear();
  runs_.clear();
}

}  // namespace allreco::data
