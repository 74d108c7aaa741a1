// RowReading: a file of JSON objects, one a line, as all ranks read it: each those lines that begin in its bytes, which
// its threads parse, in the order of the file. A compressed file is read by one rank.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json.h"
#include "core/ordered_work.h"
#include "data/input/line_reader.h"
#include "data/prepare/part_readers.h"
#include "data/prepare/prepare_context.h"

namespace allreco::data {

/// Where a row stands in the file: orders rows as the file does, and fits a number.
struct RowPlace {
  std::uint32_t part = 0;
  std::int64_t line = 0;  // of the part, from 1 on

  std::uint64_t packed() const { return std::uint64_t{part} << 40 | static_cast<std::uint64_t>(line); }
  static RowPlace unpacked(std::uint64_t number) {
    return {static_cast<std::uint32_t>(number >> 40),
            static_cast<std::int64_t>(number & ((std::uint64_t{1} << 40) - 1))};
  }
};

class RowReading {
 public:
  /// Collective in that all ranks make one.
  RowReading(const PrepareContext& context, const std::filesystem::path& file, double max_bad_share);

  /// Calls parse(row, place, batch) for each line that holds an object, on any thread: "" or why the row is malformed;
  /// and take(batch) on the caller's thread, in the order of the file. UserError when the file is damaged or of another
  /// form, and when its first 1000 lines are all malformed, unless such a share is allowed.
  template <class Batch>
  void run(const std::function<std::string(const core::Json& row, RowPlace place, Batch& batch)>& parse,
           const std::function<void(Batch& batch)>& take);

  /// Counts a row of this rank as malformed after all. Before report().
  void reject(RowPlace place, std::string reason);

  /// Collective, once: LineCounts::report of the file; the leader warns of malformed lines. UserError when more than
  /// the allowed share are malformed.
  core::Json report();
  /// After report(), of all ranks: lines that are not blank, and malformed ones; the number of a line in the file.
  std::int64_t num_lines() const { return num_lines_; }
  std::int64_t num_bad() const { return num_bad_; }
  std::int64_t line_number(RowPlace place) const { return lines_before_[place.part] + place.line; }

 private:
  struct Lines {
    std::uint32_t part = 0;
    std::int64_t first_line = 0;
    std::string text;
    std::vector<std::size_t> ends;  // of lines, in the text
  };
  struct Counted {
    std::uint32_t part = 0;
    LineCounts lines;
  };
  using ParseRow = std::function<std::string(const core::Json& row, RowPlace place)>;

  void begin();
  bool next_lines(Lines& lines);
  void parse_lines(const Lines& lines, const ParseRow& parse, Counted& counted) const;
  void count(const Counted& counted);
  void end() { context_.progress.end(); }

  const PrepareContext& context_;
  std::filesystem::path file_;
  double max_bad_share_;
  std::vector<InputPart> parts_;
  std::vector<std::size_t> my_parts_;
  std::vector<PartCounts> counts_;  // by part
  std::size_t next_part_ = 0;       // of my_parts_
  std::optional<LineReader> reader_;
  bool has_seen_first_ = false;  // the file's first line that is not blank
  double num_bytes_ = 0;
  std::vector<std::int64_t> lines_before_;  // by part
  std::int64_t num_lines_ = 0, num_bad_ = 0;
};

template <class Batch>
void RowReading::run(const std::function<std::string(const core::Json& row, RowPlace place, Batch& batch)>& parse,
                     const std::function<void(Batch& batch)>& take) {
  struct Parsed {
    Counted counted = {};
    Batch batch = {};
  };
  constexpr std::size_t kWaitingPerThread = 4;
  const auto threads = static_cast<std::size_t>(context_.num_threads);
  core::OrderedWork<Lines, Parsed> work(
      context_.num_threads, kWaitingPerThread * threads,
      [&](Lines& lines) {
        Parsed parsed;
        const auto parse_row = [&](const core::Json& row, RowPlace place) { return parse(row, place, parsed.batch); };
        parse_lines(lines, parse_row, parsed.counted);
        return parsed;
      },
      [&](Parsed& parsed) {
        count(parsed.counted);
        take(parsed.batch);
      });
  begin();
  for (Lines lines; next_lines(lines);) work.push(std::exchange(lines, {}));
  work.finish();
  end();
}

}  // namespace allreco::data
