#include "recommend/line_service.h"

#include <optional>
#include <variant>
#include <vector>

#include "core/log.h"
#include "recommend/answer.h"

namespace allreco::recommend {

using core::Json;

namespace {

struct Asked {
  Query query;
  Json id;
};
/// A line that was understood, or why not.
using Understood = std::variant<Asked, RequestError>;

Understood understand(const Recommender& recommender, const Line& line, const LineOptions& options) {
  try {
    if (line.is_too_long)
      throw RequestError(RequestError::Kind::too_long,
                         core::message("a request may have {} bytes; this one has more", kLongestRequest));
    const Request request = parse_line(line.text, options.defaults, recommender.index());
    try {
      return Asked{recommender.query_of(request), request.id};
    } catch (const RequestError& e) {
      Json details = e.details();
      if (!request.id.is_null()) details["id"] = request.id;
      return RequestError(e.kind(), e.what(), std::move(details));
    }
  } catch (const RequestError& e) {
    return e;
  } catch (const core::UserError& e) {
    return RequestError(RequestError::Kind::malformed, e.what());
  }
}

/// `line` 0: it came as an argument.
void say_error(const RequestError& error, std::int64_t line, bool as_json) {
  if (!as_json) return core::log_error("{}{}", line == 0 ? "" : fmt::format("line {}: ", line), error.what());
  Json json = error_json(error);
  if (line > 0) json["line"] = line;
  core::write_output(to_line(json) + "\n");
}

class Answers {
 public:
  Answers(Recommender& recommender, const LineOptions& options) : recommender_(recommender), options_(options) {}

  void answer(const std::vector<Line>& lines) {
    std::vector<Understood> understood;
    std::vector<Query> queries;
    for (const Line& line : lines) {
      understood.push_back(understand(recommender_, line, options_));
      if (const auto* asked = std::get_if<Asked>(&understood.back())) queries.push_back(asked->query);
    }
    const auto recommendations = recommender_.recommend(queries);
    auto next = recommendations.begin();
    for (size_t i = 0; i < lines.size(); ++i) {
      if (const auto* asked = std::get_if<Asked>(&understood[i])) {
        say(*asked, *next++);
        ++counts_.num_answered;
      } else {
        say_error(std::get<RequestError>(understood[i]), lines[i].number, options_.json);
        ++counts_.num_refused;
      }
    }
  }

  const LineCounts& counts() const { return counts_; }

 private:
  void say(const Asked& asked, const std::vector<Recommendation>& recommendations) const {
    const ItemIndex& index = recommender_.index();
    core::write_output(options_.json ? to_line(answer_json(asked.id, asked.query, recommendations, index)) + "\n"
                                     : answer_table(asked.query, recommendations, index));
  }

  Recommender& recommender_;
  const LineOptions& options_;
  LineCounts counts_;
};

}  // namespace

LineCounts answer_lines(Recommender& recommender, const LineInput& input, const LineOptions& options) {
  LineSource source(input, kLongestRequest);
  Answers answers(recommender, options);
  for (std::vector<Line> lines = source.next(options.batch_size); !lines.empty();
       lines = source.next(options.batch_size))
    answers.answer(lines);
  return answers.counts();
}

LineCounts answer_text(Recommender& recommender, const std::string& text, const LineOptions& options) {
  Answers answers(recommender, options);
  answers.answer({{0, text, text.size() > kLongestRequest}});
  return answers.counts();
}

void converse(Recommender& recommender, const LineInput& terminal, const LineOptions& options) {
  LineSource source(terminal, kLongestRequest);
  Answers answers(recommender, options);
  core::write_output(
      "A history, oldest first: ids, asins or titles, separated by |. \"quit\", or the end of input, ends.\n");
  while (true) {
    core::write_output("> ");
    const std::vector<Line> lines = source.next(1);
    if (lines.empty() || lines.front().text == "quit" || lines.front().text == "exit") break;
    if (lines.front().text.find_first_not_of(" \t") != std::string::npos) answers.answer(lines);
  }
}

}  // namespace allreco::recommend
