#include "recommend/recommender.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/log.h"
#include "eval/beam_search.h"
#include "eval/catalogue.h"
#include "eval/title_trie.h"

namespace allreco::recommend {

namespace {

constexpr size_t kLongestQuote = 200;  // bytes of a name in a message

void check_fit(const model::ModelConfig& model, const data::DatasetInfo& info) {
  data::require_vocabulary_fits(info, model.vocab_size);
  if (info.max_length > model.max_position_embeddings)
    core::log_warning("examples of the dataset have up to {} tokens, the model's context {}", info.max_length,
                      model.max_position_embeddings);
}

void warn_of_options(const PromptBuilder& prompts) {
  if (prompts.num_options() == 0) return;
  core::log_warning(
      "the template {} shows options, which a request has not: its prompts show the {} items most popular in train "
      "that the history lacks, and the model was taught to answer one of the options. Prepare and train with "
      "--template amazon-next-item-open to recommend from the whole catalogue",
      prompts.prompt_template().name, prompts.num_options());
}

[[noreturn]] void refuse_unknown(std::string_view name, const std::optional<std::uint32_t>& nearest,
                                 const ItemIndex& index) {
  const std::string quote =
      name.size() > kLongestQuote ? std::string(name.substr(0, kLongestQuote)) + "..." : std::string(name);
  core::Json details{{"unknown_item", core::printable(quote)}};
  std::string message = core::message("no item has the id, asin or title \"{}\"", quote);
  if (nearest) {
    const data::Item& item = index.item(*nearest);
    message += core::message("; the nearest is \"{}\" (id {}, asin {})", item.title, item.id, item.asin);
    details["suggestion"] = {{"id", item.id}, {"asin", item.asin}, {"title", item.title}};
  }
  throw RequestError(RequestError::Kind::unknown_item, message, std::move(details));
}

std::span<const std::uint32_t> find(const ItemName& name, const ItemIndex& index) {
  return std::visit(
      [&]<class Name>(const Name& given) {
        const auto found = index.find(given);
        if (!found.empty()) return found;
        if constexpr (std::is_same_v<Name, std::string>) refuse_unknown(given, index.nearest(given), index);
        refuse_unknown(fmt::format("{}", given), std::nullopt, index);
      },
      name);
}

/// The best k of scores, as probabilities among all that are ranked.
std::vector<Recommendation> best_of(const std::vector<double>& scores, const Query& query) {
  std::vector<bool> left_out(scores.size(), false);
  for (const std::uint32_t item : query.left_out) left_out[item] = true;
  std::vector<Recommendation> best;
  for (const std::uint32_t item : eval::best_items(scores, query.k, left_out)) best.push_back({item, 0, scores[item]});
  if (best.empty()) return best;
  double total = 0;
  for (size_t item = 0; item < scores.size(); ++item)
    if (!left_out[item]) total += std::exp(scores[item] - best.front().log_likelihood);
  for (Recommendation& r : best) r.probability = std::exp(r.log_likelihood - best.front().log_likelihood) / total;
  return best;
}

void require_finite(const std::vector<double>& scores, bool is_beam) {
  for (size_t item = 0; item < scores.size(); ++item) {
    if (std::isfinite(scores[item]) || (is_beam && scores[item] == eval::kNotFound)) continue;
    core::fault("the model gives item {} the score {}: its weights or its dtype are unusable", item, scores[item]);
  }
}

}  // namespace

Recommender::Recommender(model::Decoder& decoder, const data::DatasetInfo& info, const RankingOptions& options)
    : decoder_(decoder),
      options_(options),
      index_(data::read_catalogue(info)),
      prompts_(info, index_),
      trie_(eval::title_trie(index_.items(), info.eos_id < 0 ? std::nullopt : std::optional(info.eos_id))),
      scorer_(decoder, options.max_tokens_per_batch) {
  check_fit(decoder.config(), info);
  warn_of_options(prompts_);
}

Query Recommender::query_of(const Request& request) const {
  if (uses_beams() && request.k > options_.num_beams)
    throw RequestError(
        RequestError::Kind::malformed,
        core::message("\"k\" is {}, but a search with num_beams = {} finds no more titles than that: ask "
                      "for fewer, or start with more beams, or 0 to score all",
                      request.k, options_.num_beams));
  std::vector<std::uint32_t> history;
  Query query;
  query.k = request.k;
  for (const ItemName& name : request.history) {
    const auto found = find(name, index_);
    history.push_back(found.front());
    if (request.exclude_history) query.left_out.insert(query.left_out.end(), found.begin(), found.end());
  }
  query.prompt = prompts_.build(history);
  return query;
}

bool Recommender::uses_beams() const { return options_.num_beams > 0 && eval::beam_prunes(options_.num_beams, trie_); }

std::vector<std::vector<double>> Recommender::search(std::span<const eval::TrieRequest> requests) {
  std::vector<std::vector<double>> scores;
  const eval::BeamOptions beam{options_.num_beams,
                               {options_.scoring == "masked" ? eval::PathScore::masked : eval::PathScore::plain}};
  const auto rows_of = [&](size_t r) { return eval::most_beam_rows(std::ssize(requests[r].prompt), trie_, beam); };
  for (size_t begin = 0, end = 0; begin < requests.size(); begin = end) {
    std::int64_t rows = 0;  // of keys and values
    do {
      rows += rows_of(end++);
    } while (end < requests.size() && rows + rows_of(end) <= options_.max_tokens_per_batch);
    const eval::BeamResults results = eval::beam_search(decoder_, requests.subspan(begin, end - begin), beam);
    for (const auto& hits : results.hits) scores.push_back(eval::scores_of_items(trie_, hits[0]));
  }
  return scores;
}

std::vector<std::vector<double>> Recommender::score(std::span<const eval::TrieRequest> requests) {
  std::vector<std::vector<double>> scores;
  for (const eval::TrieScores& of_nodes : scorer_.score(requests))
    scores.push_back(eval::scores_of_items(trie_, options_.scoring == "masked"
                                                      ? eval::masked_log_likelihoods(trie_, of_nodes)
                                                      : eval::path_log_likelihoods(trie_, of_nodes)));
  return scores;
}

std::vector<std::vector<Recommendation>> Recommender::recommend(std::span<const Query> queries) {
  std::vector<eval::TrieRequest> requests;
  for (const Query& query : queries) requests.push_back({&trie_, query.prompt.tokens});
  const auto scores = uses_beams() ? search(requests) : score(requests);
  std::vector<std::vector<Recommendation>> recommendations;
  for (size_t i = 0; i < queries.size(); ++i) {
    require_finite(scores[i], uses_beams());
    recommendations.push_back(best_of(scores[i], queries[i]));
  }
  return recommendations;
}

}  // namespace allreco::recommend
