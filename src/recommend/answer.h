// What is said of a request: as JSON, for programs, and as a table, for people.
#pragma once
#include <string>
#include <vector>

#include "core/json.h"
#include "recommend/recommender.h"

namespace allreco::recommend {

/// {"id", "recommendations": [{"id", "asin", "title", "probability", "log_likelihood"}], "history_shown": [ids]}
core::Json answer_json(const core::Json& request_id, const Query& query,
                       const std::vector<Recommendation>& recommendations, const ItemIndex& index);
/// {"error", ...}
core::Json error_json(const RequestError& error);

/// One line, in ASCII: nothing in it can act on a terminal.
std::string to_line(const core::Json& json);

/// Lines for a terminal; texts from the dataset are made printable.
std::string answer_table(const Query& query, const std::vector<Recommendation>& recommendations,
                         const ItemIndex& index);

}  // namespace allreco::recommend
