#include "data/prepare/rows/row_reading.h"

#include <algorithm>

#include "core/interrupt.h"
#include "data/input/json_lines.h"

namespace allreco::data {

namespace {

/// Neighbouring parts of about as many bytes as other ranks have.
std::vector<std::size_t> neighbouring_parts(const std::vector<InputPart>& parts, int rank, int size) {
  std::vector<std::size_t> all(parts.size()), mine;
  for (std::size_t part = 0; part < parts.size(); ++part) all[part] = part;
  const std::uint64_t total = std::max<std::uint64_t>(1, bytes_of(parts, all));
  std::uint64_t before = 0;
  for (const std::size_t part : all) {
    if (before * static_cast<std::uint64_t>(size) / total == static_cast<std::uint64_t>(rank)) mine.push_back(part);
    before += bytes_of(parts, {part});
  }
  return mine;
}

}  // namespace

RowReading::RowReading(const PrepareContext& context, const std::filesystem::path& file, double max_bad_share)
    : context_(context),
      file_(file),
      max_bad_share_(max_bad_share),
      parts_(input_parts({file}, input_part_bytes({file}))),
      my_parts_(neighbouring_parts(parts_, context.ranks.rank(), context.ranks.size())),
      counts_(parts_.size()) {}

void RowReading::begin() {
  context_.progress.begin("read", static_cast<double>(bytes_of(parts_, my_parts_)), "MB", 1e6, context_.ranks.size());
}

bool RowReading::next_lines(Lines& lines) {
  constexpr std::size_t kBytesAtOnce = std::size_t{64} << 10;
  if (!reader_) {
    if (next_part_ == my_parts_.size()) return false;
    reader_.emplace(parts_[my_parts_[next_part_]]);
  }
  lines.part = static_cast<std::uint32_t>(my_parts_[next_part_]);
  lines.first_line = reader_->line_number() + 1;
  std::string_view line;
  while (lines.text.size() < kBytesAtOnce && reader_->next(line)) {
    if (lines.part == 0 && !has_seen_first_ && !is_blank_line(line)) {
      require_json_lines(line, file_);
      has_seen_first_ = true;
    }
    lines.text += line;
    lines.ends.push_back(lines.text.size());
    lines.text += '\n';  // so that blank lines take room, too
  }
  const double num_bytes = num_bytes_ + static_cast<double>(reader_->bytes_read());
  context_.progress.show(num_bytes);
  if (lines.text.size() >= kBytesAtOnce) return true;
  num_bytes_ = num_bytes;
  reader_.reset();
  ++next_part_;
  return true;
}

void RowReading::parse_lines(const Lines& lines, const ParseRow& parse, Counted& counted) const {
  counted.part = lines.part;
  RowPlace place{lines.part, lines.first_line};
  std::size_t begin = 0;
  core::Json row;
  for (const std::size_t end : lines.ends) {
    const std::string_view line = std::string_view(lines.text).substr(begin, end - begin);
    begin = end + 1;
    ++counted.lines.total_lines;
    if (!is_blank_line(line)) {
      ++counted.lines.lines;
      std::string problem = parse_object(line, row);
      if (problem.empty()) problem = parse(row, place);
      if (!problem.empty()) counted.lines.reject(place.line, std::move(problem));
    }
    ++place.line;
  }
}

void RowReading::count(const Counted& counted) {
  LineCounts& counts = counts_[counted.part].lines;
  counts.total_lines += counted.lines.total_lines;
  counts.lines += counted.lines.lines;
  counts.malformed += counted.lines.malformed;
  for (const BadLine& bad : counted.lines.first_malformed)
    if (counts.first_malformed.size() < LineCounts::kNumBadLinesShown) counts.first_malformed.push_back(bad);
  if (counted.part == 0) give_up_hopeless(counts, file_, max_bad_share_);
  context_.ranks.leave_if_peer_failed();
  core::throw_if_interrupted();
}

void RowReading::reject(RowPlace place, std::string reason) {
  LineCounts& counts = counts_[place.part].lines;
  ++counts.malformed;
  std::vector<BadLine>& shown = counts.first_malformed;
  const auto behind =
      std::find_if(shown.begin(), shown.end(), [&](const BadLine& bad) { return bad.line > place.line; });
  shown.insert(behind, {place.line, std::move(reason)});
  shown.resize(std::min(shown.size(), LineCounts::kNumBadLinesShown));
}

core::Json RowReading::report() {
  const std::vector<PartCounts> counts = gather_counts(context_.ranks, counts_, my_parts_);
  std::int64_t before = 0;
  for (const PartCounts& part : counts) {
    lines_before_.push_back(before);
    before += part.lines.total_lines;
    num_lines_ += part.lines.lines;
    num_bad_ += part.lines.malformed;
  }
  return report_files({file_}, parts_, counts, max_bad_share_, context_.ranks.is_leader());
}

}  // namespace allreco::data
