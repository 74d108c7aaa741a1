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
std::string parse_review(const Json& object, Interner& reviewers, Interner& asins, Review& review) {
  const std::string* reviewer = find_string(object, "reviewerID");
  const std::string* asin = find_string(object, "asin");
  const auto rating = object.find("overall");
  if (reviewer == nullptr || reviewer->empty()) return "no reviewerID (a text) in it";
  if (asin == nullptr || asin->empty()) return "no asin (a text) in it";
  if (rating == object.end() || !rating->is_number()) return "no overall (a number) in it";
  if (const double stars = rating->get<double>(); !(stars >= 0 && stars <= kMostStars))
    return fmt::format("overall is {}: ratings are 0 to {} stars", rating->dump(), kMostStars);
  if (std::string problem = find_time(object, review.timestamp); !problem.empty()) return problem;
  review.rating = rating->get<float>();
  review.verified = find_flag(object, "verified");
  review.reviewer = reviewers.number_of(*reviewer);
  review.asin = asins.number_of(*asin);
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

ReviewFile read_reviews(const std::filesystem::path& path, double max_bad_share) {
  ReviewFile file;
  Interner reviewers(file.reviewers);
  Interner asins(file.asins);
  JsonLines lines(path, max_bad_share);
  Json object;
  while (lines.next(object)) {
    if (file.reviews.empty()) refuse_dialect_of_2023(object, path);
    Review review;
    const std::string problem = parse_review(object, reviewers, asins, review);
    if (problem.empty()) {
      file.reviews.push_back(review);
    } else {
      lines.reject(problem);
    }
  }
  if (file.reviews.empty()) core::user_error("{} holds no review: is it the right file?", path.string());
  file.lines = lines.report();
  return file;
}

}  // namespace allreco::data
