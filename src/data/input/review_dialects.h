// How the published review files write a review: 2018's and 2023's JSON, and ratings-only csv of both years.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "data/input/reviews.h"

namespace allreco::data {

/// Reads single lines; one thread.
class ReviewDialect {
 public:
  virtual ~ReviewDialect() = default;
  /// "" and the row, or why the line is no review. REQUIRES kLinePadding readable bytes behind the line.
  virtual std::string parse(std::string_view line, ReviewRow& row) = 0;
  virtual bool tells_verified() const = 0;
  /// Whether the file's first line names the columns and is no review.
  virtual bool has_header() const = 0;
};

/// The dialect of a file with this first line that is not blank. UserError where it is none that is read.
std::unique_ptr<ReviewDialect> review_dialect(std::string_view first_line, const std::filesystem::path& path);

}  // namespace allreco::data
