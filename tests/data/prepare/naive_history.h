// An independent, slow account of what prepare should make of reviews: maps of texts, every rule spelled out. The
// oracle of the tests.
#pragma once
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "core/json.h"
#include "data/input/line_reader.h"

namespace allreco::data {

struct NaiveReview {
  std::string reviewer;
  std::string asin;
  std::int64_t time = 0;
  double rating = 0;
  bool verified = false;
};

struct NaiveExample {
  std::string reviewer;
  std::int64_t time = 0;
  std::string target;
  std::vector<std::string> earlier;  // all purchases before the target, oldest first
};

inline std::vector<NaiveReview> naive_reviews(const std::string& path) {
  LineReader lines(path);
  std::vector<NaiveReview> reviews;
  std::string line;
  while (lines.next(line)) {
    const core::Json row = core::Json::parse(line);
    reviews.push_back({row["reviewerID"], row["asin"], row["unixReviewTime"], row["overall"], row["verified"]});
  }
  return reviews;
}

/// As a line of 2018's dialect, with its end.
inline std::string json_2018(const NaiveReview& r) {
  return core::Json{{"reviewerID", r.reviewer},
                    {"asin", r.asin},
                    {"overall", r.rating},
                    {"verified", r.verified},
                    {"unixReviewTime", r.time}}
             .dump() +
         "\n";
}

using NaivePurchases = std::map<std::string, std::set<std::pair<std::int64_t, std::string>>>;

/// A shopper's kept purchases as (time, asin), for all shoppers by id. `titles`: the usable ones, by asin.
inline NaivePurchases naive_purchases(const std::vector<NaiveReview>& reviews,
                                      const std::map<std::string, std::string>& titles, double min_rating,
                                      bool verified_only) {
  std::map<std::pair<std::string, std::string>, NaiveReview> first;
  const auto rank = [](const NaiveReview& r) { return std::tuple(r.time, -r.rating, !r.verified); };
  for (const NaiveReview& review : reviews) {
    if (review.rating < min_rating || (verified_only && !review.verified)) continue;
    const auto [place, is_new] = first.try_emplace({review.reviewer, review.asin}, review);
    if (!is_new && rank(review) < rank(place->second)) place->second = review;
  }
  NaivePurchases purchases;
  for (const auto& [key, review] : first) {
    if (titles.contains(review.asin)) purchases[review.reviewer].insert({review.time, review.asin});
  }
  return purchases;
}

/// In the order of reviewer ids, then of purchases.
inline std::vector<NaiveExample> naive_examples(const NaivePurchases& purchases, std::int64_t min_history) {
  std::vector<NaiveExample> examples;
  for (const auto& [reviewer, items] : purchases) {
    std::vector<std::string> earlier;
    for (const auto& [time, asin] : items) {
      if (static_cast<std::int64_t>(earlier.size()) >= min_history) examples.push_back({reviewer, time, asin, earlier});
      earlier.push_back(asin);
    }
  }
  return examples;
}

}  // namespace allreco::data
