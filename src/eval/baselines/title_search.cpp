// BM25 (Robertson and Walker 1994, with the idf of Lucene, which is never negative) and TF-IDF over titles.
#include <cmath>
#include <map>
#include <memory>
#include <unordered_map>

#include "data/tokenizer/unicode.h"
#include "eval/baselines/item_baseline.h"
#include "eval/baselines/sparse_rows.h"

namespace allreco::eval {

namespace {

constexpr double kK1 = 1.2, kB = 0.75;

/// The words of all titles.
class Words {
 public:
  explicit Words(const std::vector<data::Item>& catalogue) {
    std::unordered_map<std::string, std::uint32_t> ids;
    for (const data::Item& item : catalogue) {
      std::map<std::uint32_t, double> counts;
      for (const std::string& word : data::words_of(item.title))
        ++counts[ids.try_emplace(word, static_cast<std::uint32_t>(ids.size())).first->second];
      of_item.emplace_back(counts.begin(), counts.end());
    }
    items_with.resize(ids.size());
    for (const auto& words : of_item)
      for (const auto& [word, count] : words) ++items_with[word];
  }

  std::vector<std::vector<std::pair<std::uint32_t, double>>> of_item;  // (word, how often), by word
  std::vector<double> items_with;                                      // by word
};

/// Adds up, over the history's titles by recency and over each one's words, the word's weight in the query times its
/// weights in the items that have it.
struct TitleIndex {
  SparseRows items_of_word;                                                // weights in items
  std::vector<std::vector<std::pair<std::uint32_t, double>>> query_words;  // by item, as a query

  void operator()(const EvalExample& example, std::span<double> scores) const {
    std::fill(scores.begin(), scores.end(), 0.0);
    double recency = 1;
    const auto history = known_history(example);
    for (auto item = history.rbegin(); item != history.rend(); ++item, recency *= kRecencyWeight)
      for (const auto& [word, weight] : query_words[*item]) items_of_word.add_row(word, recency * weight, scores);
  }
};

ItemBaseline::Score as_score(SparseRows items_of_word,
                             std::vector<std::vector<std::pair<std::uint32_t, double>>> query_words) {
  const auto index = std::make_shared<const TitleIndex>(TitleIndex{std::move(items_of_word), std::move(query_words)});
  return [index](const EvalExample& example, std::span<double> scores) { (*index)(example, scores); };
}

double length_of(const std::vector<std::pair<std::uint32_t, double>>& words) {
  double length = 0;
  for (const auto& [word, count] : words) length += count;
  return length;
}

}  // namespace

ItemBaseline::Score bm25_scores(const std::vector<data::Item>& catalogue) {
  const Words words(catalogue);
  const auto num_items = static_cast<double>(catalogue.size());
  double total_length = 0;
  for (const auto& of_item : words.of_item) total_length += length_of(of_item);
  std::vector<SparseRows::Entry> entries;
  for (std::uint32_t item = 0; item < catalogue.size(); ++item) {
    const double norm = kK1 * (1 - kB + kB * length_of(words.of_item[item]) / (total_length / num_items));
    for (const auto& [word, count] : words.of_item[item]) {
      const double n = words.items_with[word];
      const double idf = std::log(1 + (num_items - n + 0.5) / (n + 0.5));
      entries.push_back({word, {item, idf * count * (kK1 + 1) / (count + norm)}});
    }
  }
  return as_score(SparseRows(words.items_with.size(), std::move(entries)), words.of_item);
}

ItemBaseline::Score tf_idf_scores(const std::vector<data::Item>& catalogue) {
  Words words(catalogue);
  const auto num_items = static_cast<double>(catalogue.size());
  std::vector<SparseRows::Entry> entries;
  for (std::uint32_t item = 0; item < catalogue.size(); ++item) {
    double squares = 0;
    for (auto& [word, weight] : words.of_item[item]) {
      weight *= std::log((1 + num_items) / (1 + words.items_with[word])) + 1;
      squares += weight * weight;
    }
    for (auto& [word, weight] : words.of_item[item]) {
      weight /= std::sqrt(squares);
      entries.push_back({word, {item, weight}});
    }
  }
  return as_score(SparseRows(words.items_with.size(), std::move(entries)), std::move(words.of_item));
}

}  // namespace allreco::eval
