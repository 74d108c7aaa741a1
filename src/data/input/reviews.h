// Amazon's review files as published, of 2018 and of 2023: JSON lines, and csv of ratings only.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/input/input_parts.h"
#include "data/input/line_counts.h"

namespace allreco::data {

/// What is used of one review.
struct ReviewRow {
  std::string user, item;    // not empty
  std::int64_t time_ms = 0;  // since 1970; 2018's files have whole days, 2023's milliseconds
  float rating = 0;          // 0 to 5
  bool verified = false;
};

/// The reviews of one part of a file, in its order; one thread. The dialect is recognised by itself, from the file's
/// beginning, whichever part is read; of JSON each line is of the year whose names it has:
///
/// - 2018: reviewerID, asin, overall, unixReviewTime (whole seconds) or else reviewTime; verified
/// - 2023: user_id, parent_asin (the item), rating, timestamp (whole milliseconds); verified_purchase
/// - csv of 2018: item,user,rating,timestamp (seconds) without names of columns
/// - csv of 2023: columns named user_id, parent_asin, rating, timestamp (milliseconds); others are not used
///
/// A missing flag counts as false; all other fields may be missing or odd. Lines without what is needed are malformed.
class ReviewReader {
 public:
  /// UserError as LineReader, and for a file that is of another form altogether. With `max_bad_share`, next() gives a
  /// file up (UserError) of which the first 1000 lines are malformed, unless such a share is allowed.
  explicit ReviewReader(const InputPart& part, double max_bad_share = 1);
  ~ReviewReader();
  ReviewReader(ReviewReader&&) noexcept;

  /// False after the part's last. UserError when the file is damaged.
  bool next(ReviewRow& row);
  /// Whether the dialect says which reviews are verified purchases: csv does not, and there none is. Known once next()
  /// was called.
  bool tells_verified() const;
  /// For --verified_only: UserError that names the file unless it tells.
  void require_verified() const;
  /// Of the lines up to the row that next() returned last.
  const LineCounts& counts() const;
  /// Of the file: compressed ones of a compressed file.
  std::uint64_t bytes_read() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Seconds since 1970 of midnight UTC for "09 13, 2009" (month day, year; days may have one digit). False when it is no
/// such date.
bool parse_review_time(std::string_view text, std::int64_t& seconds);

}  // namespace allreco::data
