#include "data/prepare/part_readers.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace allreco::data {
using core::Json;

namespace {

std::uint64_t size_of_file(const std::filesystem::path& path) {
  std::error_code error;  // a missing file is told by who opens it
  const std::uint64_t size = std::filesystem::file_size(path, error);
  return error ? 0 : size;
}

std::uint64_t bytes_of_part(const InputPart& part) {
  const std::uint64_t size = size_of_file(part.path);
  return std::min<std::uint64_t>(part.end, size) - std::min(part.begin, size);
}

Json counts_to_json(const PartCounts& counts) {
  Json bad = Json::array();
  for (const BadLine& line : counts.lines.first_malformed) bad.push_back({line.line, line.reason});
  return {counts.lines.total_lines, counts.lines.lines, counts.lines.malformed, std::move(bad), counts.rows};
}

PartCounts counts_from_json(const Json& json) {
  PartCounts counts;
  counts.lines.total_lines = json[0].get<std::int64_t>();
  counts.lines.lines = json[1].get<std::int64_t>();
  counts.lines.malformed = json[2].get<std::int64_t>();
  for (const Json& bad : json[3])
    counts.lines.first_malformed.push_back({bad[0].get<std::int64_t>(), bad[1].get<std::string>()});
  counts.rows = json[4].get<std::int64_t>();
  return counts;
}

}  // namespace

std::uint64_t input_part_bytes(const std::vector<std::filesystem::path>& files) {
  constexpr std::uint64_t kParts = 256, kLeast = std::uint64_t{512} << 10, kMost = std::uint64_t{16} << 20;
  std::uint64_t sum = 0;
  for (const std::filesystem::path& file : files) sum += size_of_file(file);
  return std::clamp(sum / kParts, kLeast, kMost);
}

std::vector<std::size_t> parts_of_rank(const std::vector<InputPart>& parts, int rank, int size) {
  std::vector<std::uint64_t> bytes;
  for (const InputPart& part : parts) bytes.push_back(bytes_of_part(part));
  std::vector<std::size_t> order(parts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return bytes[a] > bytes[b]; });
  std::vector<std::uint64_t> loads(static_cast<std::size_t>(size));
  std::vector<std::size_t> mine;
  for (const std::size_t part : order) {
    const auto least = std::min_element(loads.begin(), loads.end());
    *least += bytes[part] + 1;  // so that empty ones are dealt out, too
    if (least - loads.begin() == rank) mine.push_back(part);
  }
  return mine;
}

std::uint64_t bytes_of(const std::vector<InputPart>& parts, const std::vector<std::size_t>& chosen) {
  std::uint64_t sum = 0;
  for (const std::size_t part : chosen) sum += bytes_of_part(parts[part]);
  return sum;
}

PartReaders::PartReaders(std::vector<std::size_t> parts, std::int64_t num_threads, Read read)
    : parts_(std::move(parts)), read_(std::move(read)) {
  num_running_ = std::min<std::int64_t>(num_threads, std::ssize(parts_));
  most_batches_ = static_cast<std::size_t>(2 * num_running_);
  for (std::int64_t i = 0; i < num_running_; ++i) threads_.emplace_back([this] { run(); });
}

PartReaders::~PartReaders() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  has_room_.notify_all();
}

void PartReaders::put(std::string&& batch) {
  std::unique_lock lock(mutex_);
  has_room_.wait(lock, [this] { return ending_ || batches_.size() < most_batches_; });
  if (ending_) throw Ending();
  batches_.push_back(std::move(batch));
  lock.unlock();
  has_batch_.notify_one();
}

void PartReaders::run() {
  std::exception_ptr failure;
  try {
    for (;;) {
      std::size_t part = 0;
      {
        const std::lock_guard lock(mutex_);
        if (ending_ || failure_ || next_part_ == parts_.size()) break;
        part = parts_[next_part_++];
      }
      read_(part, [this](std::string&& batch) { put(std::move(batch)); });
    }
  } catch (const Ending&) {
    return;
  } catch (...) {
    failure = std::current_exception();
  }
  const std::lock_guard lock(mutex_);
  --num_running_;
  if (failure && !failure_) failure_ = failure;
  has_batch_.notify_all();
}

bool PartReaders::next(std::string& batch) {
  std::unique_lock lock(mutex_);
  has_batch_.wait(lock, [this] { return failure_ || !batches_.empty() || num_running_ == 0; });
  if (failure_) std::rethrow_exception(failure_);
  if (batches_.empty()) return false;
  batch = std::move(batches_.front());
  batches_.pop_front();
  lock.unlock();
  has_room_.notify_one();
  return true;
}

std::vector<PartCounts> gather_counts(PrepareRanks& ranks, const std::vector<PartCounts>& mine,
                                      const std::vector<std::size_t>& my_parts) {
  Json json = Json::array();
  for (const std::size_t part : my_parts) json.push_back({part, counts_to_json(mine[part])});
  std::vector<PartCounts> all(mine.size());
  // A line that is no UTF-8 may stand in a reason.
  for (const std::string& text : ranks.all_gather(json.dump(-1, ' ', false, Json::error_handler_t::replace)))
    for (const Json& entry : Json::parse(text)) all[entry[0].get<std::size_t>()] = counts_from_json(entry[1]);
  return all;
}

Json report_files(const std::vector<std::filesystem::path>& files, const std::vector<InputPart>& parts,
                  const std::vector<PartCounts>& counts, double max_bad_share, bool is_leader) {
  std::vector<Json> reports;
  for (std::size_t file = 0; file < files.size(); ++file) {
    LineCounts lines;
    for (std::size_t part = 0; part < parts.size(); ++part)
      if (parts[part].input == file) lines.append(counts[part].lines);
    if (is_leader) lines.warn(files[file]);
    lines.check_share(files[file], max_bad_share);
    reports.push_back(lines.report(files[file]));
  }
  return joined_reports(reports);
}

}  // namespace allreco::data
