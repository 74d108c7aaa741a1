// A request to `allreco recommend`: JSON or plain text, resolved in a small catalogue. What is taken stays within its
// limits, and every answer is one line of ASCII.
#include "core/check.h"
#include "fuzz/target.h"
#include "recommend/answer.h"
#include "recommend/request.h"

namespace allreco::fuzz {

namespace {

const recommend::ItemIndex& catalogue() {
  static const recommend::ItemIndex index({{0, "B004LLIKVU", "Amazon.com eGift Cards", 7, {1}},
                                           {1, "B00PG40CO4", "Amazon Gift Card - Print & Go", 3, {1}},
                                           {2, "0312171048", "Straße der Kaffees, 50 €", 1, {1}}});
  return index;
}

void check_line(const core::Json& json) {
  for (const char c : recommend::to_line(json)) core::require(c >= 0x20 && c < 0x7f, "an answer is a line of ASCII");
}

}  // namespace

void recommend_request(Input input) {
  try {
    const recommend::Request request = recommend::parse_line(input, {}, catalogue());
    core::require(!request.history.empty() && request.history.size() <= recommend::kMostHistoryItems, "a history");
    core::require(request.k >= 1 && request.k <= recommend::kMostRecommendations, "k has bounds");
    for (const auto& name : request.history) {
      if (const auto* text = std::get_if<std::string>(&name)) {
        catalogue().find(*text);
        catalogue().nearest(*text);
      } else {
        catalogue().find(std::get<std::int64_t>(name));
      }
    }
    check_line(recommend::answer_json(request.id, {{{}, {0}, {}}, {}, request.k}, {{1, 0.5, -1}}, catalogue()));
  } catch (const recommend::RequestError& e) {
    check_line(recommend::error_json(e));
  }
}

}  // namespace allreco::fuzz
