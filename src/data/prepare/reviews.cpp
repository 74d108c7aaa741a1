#include "data/prepare/reviews.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <cmath>
#include <optional>
#include <unordered_map>

#include "core/check.h"
#include "data/prepare/json_lines.h"

namespace allreco::data {
using core::Json;

namespace {

/// Gives equal texts one number.
class Interner {
 public:
  explicit Interner(std::vector<std::string>& texts) : texts_(texts) {}
  std::uint32_t number_of(const std::string& text) {
    const auto [place, is_new] = numbers_.try_emplace(text, static_cast<std::uint32_t>(texts_.size()));
    if (is_new) texts_.push_back(text);
    return place->second;
  }

 private:
  std::vector<std::string>& texts_;
  std::unordered_map<std::string, std::uint32_t> numbers_;
};

bool read_number(std::string_view& text, unsigned& number) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

// The year 0, from which on parse_review_time takes them.
constexpr std::int64_t kFirstSecond = -62'167'219'200;

/// "" or what is wrong. Whole seconds may be written as 1.5e9 or 1500000000.0.
std::string find_time(const Json& object, std::int64_t& seconds) {
  constexpr double kFirstMillisecond = 1e11;  // as seconds the year 5138, as milliseconds 1973
  const auto unix_time = object.find("unixReviewTime");
  if (unix_time == object.end() || unix_time->is_null()) {
    const std::string* text = find_string(object, "reviewTime");
    if (text != nullptr && parse_review_time(*text, seconds)) return "";
    return "neither unixReviewTime (seconds) nor reviewTime (\"MM DD, YYYY\") in it";
  }
  const double value = unix_time->is_number() ? unix_time->get<double>() : std::nan("");
  if (!(std::floor(value) == value)) return "unixReviewTime is no whole number of seconds";
  if (std::abs(value) >= kFirstMillisecond)
    return fmt::format("unixReviewTime is {}: seconds since 1970 are expected, not milliseconds", unix_time->dump());
  seconds = static_cast<std::int64_t>(value);
  return seconds >= kFirstSecond ? "" : "unixReviewTime is before the year 0";
}

constexpr double kMostStars = 5;

/// Amazon 2023 calls everything otherwise, so that no line would be a review.
void refuse_dialect_of_2023(const Json& object, const std::filesystem::path& path) {
  if (object.contains("reviewerID") || !object.contains("user_id") || !object.contains("parent_asin")) return;
  core::user_error(
      "{} holds reviews of Amazon 2023 (user_id, parent_asin, timestamp in ms); --reviews reads 2018's. Rewrite them: "
      "jq "
      "-c '{{reviewerID: .user_id, asin: .parent_asin, overall: .rating, verified: .verified_purchase, unixReviewTime: "
      "(.timestamp / 1000 | floor)}}'",
      path.string());
}

bool find_flag(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

/// "" or why this line is no review.
std::string parse_review(const Json& object, ReviewRow& row) {
  const std::string* reviewer = find_string(object, "reviewerID");
  const std::string* asin = find_string(object, "asin");
  const auto rating = object.find("overall");
  if (reviewer == nullptr || reviewer->empty()) return "no reviewerID (a text) in it";
  if (asin == nullptr || asin->empty()) return "no asin (a text) in it";
  if (rating == object.end() || !rating->is_number()) return "no overall (a number) in it";
  if (const double stars = rating->get<double>(); !(stars >= 0 && stars <= kMostStars))
    return fmt::format("overall is {}: ratings are 0 to {} stars", rating->dump(), kMostStars);
  std::int64_t seconds = 0;
  if (std::string problem = find_time(object, seconds); !problem.empty()) return problem;
  row = {*reviewer, *asin, seconds * 1000, rating->get<float>(), find_flag(object, "verified")};
  return "";
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
  State(const InputPart& part, double share) : reader(part), max_bad_share(share) {}

  std::string parse(std::string_view line, ReviewRow& row) {
    std::string problem = parse_object(line, object);
    if (!problem.empty()) return problem;
    if (counts.lines == 1) refuse_dialect_of_2023(object, reader.path());
    return parse_review(object, row);
  }

  LineReader reader;
  double max_bad_share;
  LineCounts counts;
  Json object;
};

ReviewReader::ReviewReader(const InputPart& part, double max_bad_share)
    : state_(std::make_unique<State>(part, max_bad_share)) {}
ReviewReader::~ReviewReader() = default;
ReviewReader::ReviewReader(ReviewReader&&) noexcept = default;

bool ReviewReader::next(ReviewRow& row) {
  State& s = *state_;
  for (std::string_view line; s.reader.next(line);) {
    ++s.counts.total_lines;
    if (line.find_first_not_of(" \t") == std::string_view::npos) continue;
    if (++s.counts.lines == 1) require_json_lines(line, s.reader.path());
    std::string problem = s.parse(line, row);
    if (problem.empty()) return true;
    s.counts.reject(s.reader.line_number(), std::move(problem));
    if (s.counts.malformed == kHopelessLines && s.counts.lines == kHopelessLines)
      s.counts.check_share(s.reader.path(), s.max_bad_share);
  }
  return false;
}

bool ReviewReader::tells_verified() const { return true; }
const LineCounts& ReviewReader::counts() const { return state_->counts; }
std::uint64_t ReviewReader::bytes_read() const { return state_->reader.bytes_read(); }

ReviewFile read_reviews(const std::string& files, double max_bad_share) {
  ReviewFile all;
  Interner reviewers(all.reviewers);
  Interner asins(all.asins);
  std::vector<Json> reports;
  for (const InputPart& part : input_parts(input_files(files), kWholeFile)) {
    const size_t num_before = all.reviews.size();
    ReviewReader reader(part, max_bad_share);
    for (ReviewRow row; reader.next(row);) {
      const std::int64_t seconds = (row.time_ms - (row.time_ms < 0 ? 999 : 0)) / 1000;
      all.reviews.push_back(
          {reviewers.number_of(row.user), asins.number_of(row.item), seconds, row.rating, row.verified});
    }
    reader.counts().warn(part.path);
    reader.counts().check_share(part.path, max_bad_share);
    if (all.reviews.size() == num_before)
      core::user_error("{} holds no review: is it the right file?", part.path.string());
    reports.push_back(reader.counts().report(part.path));
  }
  all.lines = joined_reports(reports);
  return all;
}

}  // namespace allreco::data
