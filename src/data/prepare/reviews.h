// Amazon Review Data 2018: the review file, one JSON object a line.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace allreco::data {

/// What is used of one review. Names and texts are numbered in the order in which the file brings them; nothing that is
/// written out may depend on that order.
struct Review {
  std::uint32_t reviewer = 0;  // index into ReviewFile::reviewers
  std::uint32_t asin = 0;      // index into ReviewFile::asins
  std::int64_t timestamp = 0;  // seconds since 1970; the published files have whole days
  float rating = 0;
  bool verified = false;
};

struct ReviewFile {
  std::vector<Review> reviews;
  std::vector<std::string> reviewers;
  std::vector<std::string> asins;
  core::Json lines;  // JsonLines::report
};

/// Needs reviewerID, asin, overall and unixReviewTime (or reviewTime); a missing `verified` counts as false, all other
/// fields may be missing or odd. Lines without them are malformed. UserError as JsonLines, and when the file holds no
/// review.
ReviewFile read_reviews(const std::filesystem::path& path, double max_bad_share);

/// Seconds since 1970 of midnight UTC for "09 13, 2009" (month day, year; days may have one digit). False when it is no
/// such date.
bool parse_review_time(std::string_view text, std::int64_t& seconds);

}  // namespace allreco::data
