#include "recommend/answer.h"

#include <algorithm>

#include "core/text.h"

namespace allreco::recommend {

using core::Json;

Json answer_json(const Json& request_id, const Query& query, const std::vector<Recommendation>& recommendations,
                 const ItemIndex& index) {
  Json list = Json::array();
  for (const Recommendation& r : recommendations) {
    const data::Item& item = index.item(r.item);
    list.push_back({{"id", item.id},
                    {"asin", item.asin},
                    {"title", item.title},
                    {"probability", r.probability},
                    {"log_likelihood", r.log_likelihood}});
  }
  Json json = Json::object();
  if (!request_id.is_null()) json["id"] = request_id;
  json["recommendations"] = std::move(list);
  json["history_shown"] = query.prompt.history;
  return json;
}

Json error_json(const RequestError& error) {
  Json json{{"error", error.what()}};
  json.update(error.details());
  return json;
}

std::string to_line(const Json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
}

std::string answer_table(const Query& query, const std::vector<Recommendation>& recommendations,
                         const ItemIndex& index) {
  std::string text = "after\n";
  for (const std::uint32_t item : query.prompt.history) text += core::message("  - {}\n", index.item(item).title);
  size_t width = 4;
  for (const Recommendation& r : recommendations)
    width = std::max(width, core::printable(index.item(r.item).asin).size());
  text += core::message("{:>5}  {:>11}  {:>7}  {:<{}}  title\n", "rank", "probability", "id", "asin", width);
  for (size_t i = 0; i < recommendations.size(); ++i) {
    const data::Item& item = index.item(recommendations[i].item);
    text += core::message("{:>5}  {:>9.2f} %  {:>7}  {:<{}}  {}\n", i + 1, 100 * recommendations[i].probability,
                          item.id, item.asin, width, item.title);
  }
  return text;
}

}  // namespace allreco::recommend
