#include "data/input/review_dialects.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "core/check.h"
#include "data/input/csv.h"
#include "data/input/json_lines.h"
#include "data/input/line_fields.h"
#include "data/input/review_values.h"
#include "data/tokenizer/unicode.h"

namespace allreco::data {

namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// Each line is of the year whose names it has.
class JsonReviews final : public ReviewDialect {
 public:
  bool tells_verified() const override { return true; }
  bool has_header() const override { return false; }

  std::string parse(std::string_view line, ReviewRow& row) override {
    if (std::string problem = fields_.parse(line); !problem.empty()) return problem;
    const bool is_2018 = field(kReviewerId).is_there();
    const bool is_2023 = !is_2018 && (field(kUserId).is_there() || field(kParentAsin).is_there());
    return is_2023 ? parse_2023(row) : parse_2018(row);
  }

 private:
  enum Key : size_t {
    kReviewerId,
    kAsin,
    kOverall,
    kVerified,
    kUnixReviewTime,
    kReviewTime,
    kUserId,
    kParentAsin,
    kRating,
    kVerifiedPurchase,
    kTimestamp
  };

  const LineField& field(Key key) const { return fields_[key]; }

  std::string parse_2018(ReviewRow& row) const {
    if (!field(kReviewerId).is_text()) return "no reviewerID (a text) in it";
    if (!field(kAsin).is_text()) return "no asin (a text) in it";
    if (std::string problem = rating_of(field(kOverall), "overall", row.rating); !problem.empty()) return problem;
    std::int64_t seconds = 0;
    if (std::string problem = time_2018(seconds); !problem.empty()) return problem;
    row.time_ms = 1000 * seconds;
    row.user = field(kReviewerId).text;
    row.item = field(kAsin).text;
    row.verified = is_true(kVerified);
    return "";
  }

  std::string time_2018(std::int64_t& seconds) const {
    const LineField& time = field(kUnixReviewTime);
    if (time.is_there() && time.kind != LineField::Kind::null) return seconds_of(time, "unixReviewTime", seconds);
    const LineField& day = field(kReviewTime);
    if (day.kind == LineField::Kind::text && parse_review_time(day.text, seconds)) return "";
    return "neither unixReviewTime (seconds) nor reviewTime (\"MM DD, YYYY\") in it";
  }

  std::string parse_2023(ReviewRow& row) const {
    if (!field(kUserId).is_text()) return "no user_id (a text) in it";
    if (!field(kParentAsin).is_text()) return "no parent_asin (a text) in it";
    if (std::string problem = rating_of(field(kRating), "rating", row.rating); !problem.empty()) return problem;
    if (std::string problem = milliseconds_of(field(kTimestamp), "timestamp", row.time_ms); !problem.empty())
      return problem;
    row.user = field(kUserId).text;
    row.item = field(kParentAsin).text;
    row.verified = is_true(kVerifiedPurchase);
    return "";
  }

  bool is_true(Key key) const { return field(key).kind == LineField::Kind::flag && field(key).flag; }

  FieldParser fields_{{"reviewerID", "asin", "overall", "verified", "unixReviewTime", "reviewTime", "user_id",
                       "parent_asin", "rating", "verified_purchase", "timestamp"}};
};

/// Where the columns of a csv file are.
struct CsvColumns {
  size_t user = 1, item = 0, rating = 2, time = 3;
  size_t count = 4;
  bool is_2023 = false;
};

class CsvReviews final : public ReviewDialect {
 public:
  explicit CsvReviews(CsvColumns columns) : columns_(columns) {}
  bool tells_verified() const override { return false; }
  bool has_header() const override { return columns_.is_2023; }

  std::string parse(std::string_view line, ReviewRow& row) override {
    if (!is_valid_utf8(line)) return "not UTF-8";
    if (line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
    if (std::string problem = csv_.parse(line); !problem.empty()) return problem;
    const auto& values = csv_.values();
    if (values.size() != columns_.count)
      return fmt::format("{} values where {} are expected", values.size(), columns_.count);
    if (values[columns_.user].empty()) return "the user is empty";
    if (values[columns_.item].empty()) return "the item is empty";
    if (std::string problem = rating_of(number_field(values[columns_.rating]), "rating", row.rating); !problem.empty())
      return problem;
    if (std::string problem = time_of(number_field(values[columns_.time]), row.time_ms); !problem.empty())
      return problem;
    row.user = values[columns_.user];
    row.item = values[columns_.item];
    row.verified = false;
    return "";
  }

 private:
  std::string time_of(const LineField& field, std::int64_t& milliseconds) const {
    if (columns_.is_2023) return milliseconds_of(field, "timestamp", milliseconds);
    std::string problem = seconds_of(field, "timestamp", milliseconds);
    milliseconds *= 1000;
    return problem;
  }

  CsvColumns columns_;
  CsvLine csv_;
};

std::optional<size_t> column_of(const std::vector<std::string_view>& names, std::string_view name) {
  const auto found = std::find(names.begin(), names.end(), name);
  return found == names.end() ? std::nullopt : std::optional(static_cast<size_t>(found - names.begin()));
}

/// 2023's files name their columns, 2018's have just four.
std::unique_ptr<ReviewDialect> csv_dialect(const std::vector<std::string_view>& first,
                                           const std::filesystem::path& path) {
  const auto user = column_of(first, "user_id"), item = column_of(first, "parent_asin");
  const auto rating = column_of(first, "rating"), time = column_of(first, "timestamp");
  if (user && item && rating && time)
    return std::make_unique<CsvReviews>(CsvColumns{*user, *item, *rating, *time, first.size(), true});
  if (first.size() == 4 && number_field(first[2]).kind == LineField::Kind::number)
    return std::make_unique<CsvReviews>(CsvColumns{});
  core::user_error(
      "{} looks like csv, but neither like Amazon 2023's (a first line user_id,parent_asin,rating,timestamp) nor like "
      "2018's (item,user,rating,timestamp in each line, seconds, no names of columns)",
      path.string());
}

}  // namespace

std::unique_ptr<ReviewDialect> review_dialect(std::string_view first_line, const std::filesystem::path& path) {
  std::string_view text = first_line;
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  CsvLine csv;
  const bool is_csv = !text.starts_with('{') && !text.starts_with('[') && csv.parse(text).empty();
  if (is_csv && csv.values().size() >= 3) return csv_dialect(csv.values(), path);
  require_json_lines(first_line, path);
  return std::make_unique<JsonReviews>();
}

}  // namespace allreco::data
