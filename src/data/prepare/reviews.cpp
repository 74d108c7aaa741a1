#include "data/prepare/reviews.h"

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

// Years 0 to 9999, as parse_review_time takes them: differences of times do not overflow.
constexpr std::int64_t kFirstSecond = -62'167'219'200, kLastSecond = 253'402'300'800;

bool find_time(const Json& object, std::int64_t& seconds) {
  const auto unix_time = object.find("unixReviewTime");
  const auto given = unix_time == object.end() ? std::nullopt : core::whole_number<std::int64_t>(*unix_time);
  if (given) {
    seconds = *given;
    return kFirstSecond <= seconds && seconds < kLastSecond;
  }
  const std::string* text = find_string(object, "reviewTime");
  return text != nullptr && parse_review_time(*text, seconds);
}

constexpr double kLargestRating = 1e6;  // far above any scale of stars

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
  if (std::abs(rating->get<double>()) > kLargestRating) return "overall is no rating";
  if (!find_time(object, review.timestamp))
    return "neither unixReviewTime (seconds) nor reviewTime (\"MM DD, YYYY\") in it";
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
