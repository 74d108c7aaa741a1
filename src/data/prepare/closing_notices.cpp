#include "data/prepare/closing_notices.h"

#include <fmt/format.h>

namespace allreco::data {
using core::Json;

namespace {

constexpr double kNearlyAll = 0.99;

std::int64_t integer_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

void add_losses(const Json& dropped, std::int64_t num_shown, const char* of_what, std::vector<std::string>& notices) {
  for (const auto& [reason, value] : dropped.items()) {
    if (!value.is_number_integer() || num_shown == 0) continue;
    const double share = value.get<double>() / static_cast<double>(num_shown);
    if (share >= kNearlyAll)
      notices.push_back(fmt::format("{:.1f} % of the {} ({} of {}) were dropped for one reason, {}: is that meant?",
                                    100 * share, of_what, value.get<std::int64_t>(), num_shown, reason));
  }
}

}  // namespace

std::vector<std::string> closing_notices(const Json& description) {
  std::vector<std::string> notices;
  const Json counts = description.value("counts", Json::object());
  const Json dropped = counts.value("dropped", Json::object());
  add_losses(dropped, integer_of(counts, "rows"), "rows", notices);
  add_losses(dropped.value("reviews", Json::object()), integer_of(counts, "review_rows"), "reviews", notices);
  add_losses(dropped.value("examples", Json::object()), integer_of(counts, "examples_possible"), "examples", notices);
  const Json shoppers = dropped.value("shoppers", Json::object());
  add_losses({{"min_history", integer_of(shoppers, "their_reviews")}}, integer_of(counts, "reviews_kept"),
             "kept reviews", notices);
  const std::int64_t mixed = integer_of(counts, "examples_with_other_categories");
  if (mixed > 0)
    notices.push_back(
        fmt::format("negatives = same_category: in {} of {} examples the target's category had too few items, and the "
                    "rest was drawn from all categories",
                    mixed, integer_of(counts, "examples")));
  const Json ties = description.value("share_of_targets_tied_with_last_item", Json::object());
  for (const auto& [split, share] : ties.items()) {
    if (share.get<double>() < kNearlyAll) continue;
    notices.push_back(
        fmt::format("{:.1f} % of the {} targets have the time of the newest item of their history: which of the two "
                    "came first is not known, and taken from the order of item ids",
                    100 * share.get<double>(), split));
  }
  return notices;
}

}  // namespace allreco::data
