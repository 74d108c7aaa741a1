// PartReaders: one rank's parts of the input, read by several threads; what they make of it reaches the caller's thread
// in batches of bytes, in no order.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "data/input/input_parts.h"
#include "data/input/line_counts.h"
#include "data/prepare/ranks.h"

namespace allreco::data {

/// Of what size input_parts should make its parts: so many that several ranks and threads get about as many bytes, even
/// of small files, and no more than are handled with ease.
std::uint64_t input_part_bytes(const std::vector<std::filesystem::path>& files);

/// Of the parts' indices those that `rank` of `size` reads: each part to whom has the fewest bytes so far, the largest
/// first. The same on all ranks.
std::vector<std::size_t> parts_of_rank(const std::vector<InputPart>& parts, int rank, int size);

/// The bytes of these parts: compressed ones of compressed files.
std::uint64_t bytes_of(const std::vector<InputPart>& parts, const std::vector<std::size_t>& chosen);

class PartReaders {
 public:
  static constexpr std::size_t kBatchBytes = std::size_t{64} << 10;  // about what a batch holds
  using Emit = std::function<void(std::string&& batch)>;
  /// Reads one part and emits batches; called by any of the threads, by each for one part at a time.
  using Read = std::function<void(std::size_t part, const Emit& emit)>;

  PartReaders(std::vector<std::size_t> parts, std::int64_t num_threads, Read read);
  ~PartReaders();
  PartReaders(const PartReaders&) = delete;
  PartReaders& operator=(const PartReaders&) = delete;

  /// False when every part is read. Throws what a thread threw.
  bool next(std::string& batch);

 private:
  struct Ending {};  // thrown in a thread that is no longer needed
  void run();
  void put(std::string&& batch);

  std::vector<std::size_t> parts_;
  Read read_;
  std::mutex mutex_;
  std::condition_variable has_batch_, has_room_;
  std::deque<std::string> batches_;
  std::size_t next_part_ = 0, most_batches_;
  std::int64_t num_running_;
  std::exception_ptr failure_;
  bool ending_ = false;
  std::vector<std::jthread> threads_;  // last: they use all of the above
};

/// What is known of the parts that were read, by index.
struct PartCounts {
  LineCounts lines;
  std::int64_t rows = 0;
};

/// Collective. Every rank's counts of its parts, by the index of the part; `mine` has those of this rank's parts.
std::vector<PartCounts> gather_counts(PrepareRanks& ranks, const std::vector<PartCounts>& mine,
                                      const std::vector<std::size_t>& my_parts);

/// The counts of each file, in the order of its parts. On every rank; the leader warns. UserError as
/// LineCounts::check_share. The result is for dataset.json.
core::Json report_files(const std::vector<std::filesystem::path>& files, const std::vector<InputPart>& parts,
                        const std::vector<PartCounts>& counts, double max_bad_share, bool is_leader);

}  // namespace allreco::data
