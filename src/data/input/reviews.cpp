#include "data/input/reviews.h"

#include <charconv>
#include <chrono>

#include "core/check.h"
#include "data/input/json_lines.h"
#include "data/input/line_reader.h"
#include "data/input/review_dialects.h"

namespace allreco::data {
namespace {

bool read_number(std::string_view& text, unsigned& number) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

}  // namespace

bool parse_review_time(std::string_view text, std::int64_t& seconds) {
  unsigned month = 0;
  unsigned day = 0;
  unsigned year = 0;
  if (!read_number(text, month) || !read_number(text, day) || !text.starts_with(',')) return false;
  text.remove_prefix(1);
  if (!read_number(text, year) || !text.empty() || year > 9999) return false;
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(year)), std::chrono::month(month),
                                         std::chrono::day(day)};
  if (!date.ok()) return false;
  seconds = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::sys_days(date).time_since_epoch()).count();
  return true;
}

struct ReviewReader::State {
  // A part in the middle of a file may be all malformed where the file is not.
  State(const InputPart& part, double share) : reader(part), max_bad_share(part.begin > 0 ? 1 : share) {
    if (part.begin > 0) dialect = dialect_of_file(part.path);
  }

  static std::unique_ptr<ReviewDialect> dialect_of_file(const std::filesystem::path& path) {
    LineReader lines(path);
    for (std::string_view line; lines.next(line);)
      if (!is_blank_line(line)) return review_dialect(line, path);
    return nullptr;
  }

  LineReader reader;
  double max_bad_share;
  LineCounts counts;
  std::unique_ptr<ReviewDialect> dialect;  // none before the file's first line is read
};

ReviewReader::ReviewReader(const InputPart& part, double max_bad_share)
    : state_(std::make_unique<State>(part, max_bad_share)) {}
ReviewReader::~ReviewReader() = default;
ReviewReader::ReviewReader(ReviewReader&&) noexcept = default;

bool ReviewReader::next(ReviewRow& row) {
  State& s = *state_;
  for (std::string_view line; s.reader.next(line);) {
    ++s.counts.total_lines;
    if (is_blank_line(line)) continue;
    if (s.dialect == nullptr) {
      s.dialect = review_dialect(line, s.reader.path());
      if (s.dialect->has_header()) continue;
    }
    ++s.counts.lines;
    std::string problem = s.dialect->parse(line, row);
    if (problem.empty()) return true;
    s.counts.reject(s.reader.line_number(), std::move(problem));
    give_up_hopeless(s.counts, s.reader.path(), s.max_bad_share);
  }
  return false;
}

bool ReviewReader::tells_verified() const { return state_->dialect == nullptr || state_->dialect->tells_verified(); }

void ReviewReader::require_verified() const {
  if (!tells_verified())
    core::user_error("{} is csv, which does not tell verified purchases: verified_only would drop them all",
                     state_->reader.path().string());
}

const LineCounts& ReviewReader::counts() const { return state_->counts; }
std::uint64_t ReviewReader::bytes_read() const { return state_->reader.bytes_read(); }

}  // namespace allreco::data
