// Scores the whole catalogue after the prompts of a split over the trie of its titles, and by a reference: each title
// alone (packed, so that passes are as full), or the trie in another dtype. Prints how far they are apart and what each
// costs, one JSON line.
//   bench_trie MODEL DATASET SPLIT EXAMPLES MAX_TOKENS DTYPE {alone|alone/N|trie|candidates} [REFERENCE_DTYPE]
// alone/N: the reference scores each N-th title only (the trie all of them), where all would take hours.
// candidates: only the examples' own candidates, over a trie each; what bench/score_peer.py runs.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>

#include "core/check.h"
#include "core/json.h"
#include "eval/catalogue.h"
#include "eval/trie_scoring.h"
#include "model/decoder/decoder.h"
#include "model/decoder/weights.h"

namespace {

using namespace allreco;
using Tokens = std::vector<data::TokenId>;

struct Run {
  std::vector<std::vector<double>> scores;  // [example][item]
  std::int64_t num_tokens = 0;
  double seconds = 0;
};

std::vector<Tokens> titles_of(const std::vector<data::Item>& catalogue, data::TokenId eos) {
  std::vector<Tokens> titles;
  for (const data::Item& item : catalogue) {
    titles.push_back(item.tokens);
    titles.back().push_back(eos);
  }
  return titles;
}

template <class T>
std::vector<T> every(std::size_t step, const std::vector<T>& all) {
  std::vector<T> some;
  for (std::size_t i = 0; i < all.size(); i += step) some.push_back(all[i]);
  return some;
}

template <class Work>
double seconds_of(const Work& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

Run over_the_trie(model::Decoder& decoder, const std::vector<Tokens>& prompts, const std::vector<Tokens>& titles,
                  std::int64_t max_tokens) {
  Run run;
  run.seconds = seconds_of([&] {
    const eval::TokenTrie trie(titles);
    eval::TrieScorer scorer(decoder, max_tokens);
    for (const Tokens& prompt : prompts) {
      const eval::TrieRequest request{&trie, prompt};
      const std::vector<double> sums = eval::path_log_likelihoods(trie, scorer.score({&request, 1})[0]);
      std::vector<double>& scores = run.scores.emplace_back();
      for (std::size_t i = 0; i < titles.size(); ++i) scores.push_back(sums[static_cast<std::size_t>(trie.end_of(i))]);
    }
    run.num_tokens = scorer.num_tokens_computed();
  });
  return run;
}

/// The scores of all sequences of a batch, appended.
void flush(model::Decoder& decoder, model::PackedBatchBuilder& builder, Run& run) {
  if (builder.empty()) return;
  const model::PackedBatch batch = builder.build();
  const at::Tensor log_p = decoder.log_probabilities(batch);
  run.num_tokens += batch.num_tokens();
  for (std::size_t s = 0; s < batch.segments.size(); ++s) {
    double sum = 0;
    for (std::int64_t m = batch.prediction_offsets[s]; m < batch.prediction_offsets[s + 1]; ++m)
      sum += log_p.const_data_ptr<double>()[m];
    run.scores.back().push_back(sum);
  }
  builder = {};
}

Run each_alone(model::Decoder& decoder, const std::vector<Tokens>& prompts, const std::vector<Tokens>& titles,
               std::int64_t max_tokens) {
  Run run;
  run.seconds = seconds_of([&] {
    for (const Tokens& prompt : prompts) {
      run.scores.emplace_back();
      model::PackedBatchBuilder builder;
      for (const Tokens& title : titles) {
        Tokens whole = prompt;
        whole.insert(whole.end(), title.begin(), title.end());
        if (builder.num_tokens() + std::ssize(whole) > max_tokens) flush(decoder, builder, run);
        builder.add_example(whole, std::ssize(prompt));
      }
      flush(decoder, builder, run);
    }
  });
  return run;
}

core::Json candidates_over_tries(model::Decoder& decoder, const data::Dataset& dataset,
                                 const std::vector<Tokens>& titles, std::int64_t count, std::int64_t max_tokens) {
  std::vector<eval::TokenTrie> tries;
  std::vector<eval::TrieRequest> requests;
  std::int64_t num_answers = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    std::vector<Tokens> shown;
    for (const std::uint32_t item : dataset.example(i).candidates) shown.push_back(titles[item]);
    num_answers += std::ssize(shown);
    tries.emplace_back(shown);
  }
  for (std::int64_t i = 0; i < count; ++i) requests.push_back({&tries[static_cast<std::size_t>(i)], dataset.prompt(i)});
  eval::TrieScorer scorer(decoder, max_tokens);
  std::vector<eval::TrieScores> scores;
  const double seconds = seconds_of([&] { scores = scorer.score(requests); });
  double sum = 0;
  for (std::size_t i = 0; i < tries.size(); ++i) {
    const std::vector<double> sums = eval::path_log_likelihoods(tries[i], scores[i]);
    for (std::size_t j = 0; j < tries[i].num_sequences(); ++j)
      sum += sums[static_cast<std::size_t>(tries[i].end_of(j))];
  }
  return {{"answers", num_answers},
          {"seconds", seconds},
          {"answers_per_second", static_cast<double>(num_answers) / seconds},
          {"tokens", scorer.num_tokens_computed()},
          {"mean_log_likelihood", sum / static_cast<double>(num_answers)}};
}

core::Json comparison(const Run& run, const Run& reference) {
  double worst = 0, same_first = 0, shared_ten = 0;
  for (std::size_t e = 0; e < run.scores.size(); ++e) {
    const std::vector<double>&a = run.scores[e], &b = reference.scores[e];
    for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(a[i] - b[i]));
    const std::vector<bool> nothing(a.size(), false);
    const auto of_a = eval::best_items(a, 10, nothing), of_b = eval::best_items(b, 10, nothing);
    same_first += of_a.front() == of_b.front();
    for (const std::uint32_t item : of_a) shared_ten += static_cast<double>(std::ranges::count(of_b, item));
  }
  const auto n = static_cast<double>(run.scores.size());
  const auto cost = [](const Run& r) {
    const auto answers = static_cast<double>(r.scores.size() * r.scores[0].size());
    return core::Json{{"seconds", r.seconds},
                      {"tokens", r.num_tokens},
                      {"answers_per_second", answers / r.seconds},
                      {"examples_per_minute", 60 * static_cast<double>(r.scores.size()) / r.seconds}};
  };
  return {{"examples", run.scores.size()},
          {"titles", run.scores[0].size()},
          {"largest_difference", worst},
          {"same_best_share", same_first / n},
          {"share_of_best_ten_shared", shared_ten / (10 * n)},
          {"trie", cost(run)},
          {"reference", cost(reference)}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 8) {
    std::cerr << "bench_trie MODEL DATASET SPLIT EXAMPLES MAX_TOKENS DTYPE {alone|alone/N|trie|candidates} "
                 "[REFERENCE_DTYPE]\n";
    return 2;
  }
  const data::Dataset dataset(argv[2], argv[3]);
  const std::int64_t count = std::min<std::int64_t>(std::stoll(argv[4]), dataset.size()),
                     max_tokens = std::stoll(argv[5]);
  const std::vector<Tokens> titles = titles_of(data::read_catalogue(dataset.info()), dataset.info().eos_id);
  std::vector<Tokens> prompts;
  for (std::int64_t i = 0; i < count; ++i) prompts.push_back(dataset.prompt(i));
  const model::BaseModel base = model::load_base_model(argv[1], argv[6]);
  if (std::string(argv[7]) == "candidates") {
    model::Decoder alone(base.config, base.weights, nullptr);
    std::cout << candidates_over_tries(alone, dataset, titles, count, max_tokens).dump() << "\n";
    return 0;
  }
  const model::BaseModel other = model::load_base_model(argv[1], argc > 8 ? argv[8] : argv[6]);
  model::Decoder decoder(base.config, base.weights, nullptr), second(other.config, other.weights, nullptr);
  Run run = over_the_trie(decoder, prompts, titles, max_tokens);
  const std::string how = argv[7];
  if (how == "trie") {
    std::cout << comparison(run, over_the_trie(second, prompts, titles, max_tokens)).dump() << "\n";
    return 0;
  }
  const std::size_t step = how == "alone" ? 1 : std::stoul(how.substr(std::string("alone/").size()));
  const Run reference = each_alone(second, prompts, every(step, titles), max_tokens);
  for (std::vector<double>& scores : run.scores) scores = every(step, scores);
  std::cout << comparison(run, reference).dump() << "\n";
  return 0;
}
