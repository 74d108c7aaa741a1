// Ranks in the whole catalogue against scores of every title alone and ranks counted once more.
#include "eval/catalogue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "core/check.h"
#include "core/files.h"
#include "eval/small_world.h"
#include "support/lone_session.h"
#include "support/temporary_directory.h"

namespace allreco::eval {
namespace {

using testing::kEos;
using testing::kNumItems;
using testing::TinyModel;
using Tokens = std::vector<data::TokenId>;

constexpr double kNotFound = -INFINITY;

TEST(Catalogue, RanksCountWhatIsHigherAndEqual) {
  const std::vector<double> scores = {1, 3, 2, 2, kNotFound, 2, kNotFound};
  const auto ranks = [&](std::uint32_t target, const std::vector<bool>& left_out) {
    const Ranks r = catalogue_ranks(scores, target, left_out);
    return std::vector<std::int64_t>{r.num_higher, r.num_equal, r.num_candidates};
  };
  const std::vector<bool> nothing(7, false);
  EXPECT_EQ(ranks(2, nothing), (std::vector<std::int64_t>{1, 2, 7}));
  EXPECT_EQ(ranks(6, nothing), (std::vector<std::int64_t>{5, 1, 7}));  // not found: a tie below all that was
  std::vector<bool> left_out = nothing;
  left_out[1] = left_out[3] = true;
  EXPECT_EQ(ranks(2, left_out), (std::vector<std::int64_t>{0, 1, 5}));
  EXPECT_EQ(ranks(1, left_out), (std::vector<std::int64_t>{0, 0, 6}));  // the target itself is always ranked
  EXPECT_EQ(best_items(scores, 4, nothing), (std::vector<std::uint32_t>{1, 2, 3, 5}));
  EXPECT_EQ(best_items(scores, 4, left_out), (std::vector<std::uint32_t>{2, 5, 0}));
  EXPECT_EQ(best_items(scores, 9, nothing), (std::vector<std::uint32_t>{1, 2, 3, 5, 0}));
  EXPECT_THROW(catalogue_ranks(std::vector<double>{1, NAN}, 0, {false, false}), core::Fault);
}

struct World {
  World() : dataset(testing::write_small_dataset(scratch / "ds", 30), "test") {
    catalogue = data::read_catalogue(dataset.info());
    examples = read_eval_examples(dataset, dataset.size(), {kEos});
    // Some answers just stop: their titles have no end to be scored.
    for (std::size_t i = 0; i < examples.size(); i += 7) examples[i].eos.reset();
    examples[4].target.reset();
  }
  CatalogueRanking rank(const CatalogueOptions& options, std::int64_t max_tokens = 200) {
    return rank_catalogue(one.get(), tiny.decoder, dataset, examples, catalogue, options, max_tokens);
  }
  Tokens title(const EvalExample& example, std::uint32_t item) const {
    Tokens tokens = catalogue[item].tokens;
    if (example.eos) tokens.push_back(*example.eos);
    return tokens;
  }
  double log_likelihood_alone(const EvalExample& example, std::uint32_t item) {
    Tokens tokens = dataset.prompt(example.index);
    const auto prompt_length = std::ssize(tokens);
    for (const data::TokenId id : title(example, item)) tokens.push_back(id);
    model::PackedBatchBuilder builder;
    builder.add_example(tokens, prompt_length);
    return tiny.decoder.log_probabilities(builder.build()).sum().item<double>();
  }

  support::TemporaryDirectory scratch;
  data::Dataset dataset;
  support::LoneSession one;
  TinyModel tiny;
  std::vector<data::Item> catalogue;
  std::vector<EvalExample> examples;
};

/// In float64 scores that are not equal differ by far more than rounding; items 3 and 7 have one title, so they tie.
Ranks naive_ranks(const std::vector<double>& scores, std::uint32_t target, const std::vector<std::uint32_t>& left_out) {
  Ranks ranks;
  for (std::uint32_t item = 0; item < scores.size(); ++item) {
    if (item != target && std::ranges::find(left_out, item) != left_out.end()) continue;
    ++ranks.num_candidates;
    if (item == target) continue;
    const double difference = scores[item] - scores[target];
    ranks.num_equal += std::abs(difference) < 1e-9;
    ranks.num_higher += difference >= 1e-9;
  }
  return ranks;
}

void expect_equal(const Ranks& found, const Ranks& expected) {
  EXPECT_EQ(found.num_higher, expected.num_higher);
  EXPECT_EQ(found.num_equal, expected.num_equal);
  EXPECT_EQ(found.num_candidates, expected.num_candidates);
}

TEST(Catalogue, ExhaustiveRanksEqualThoseOfTitlesAlone) {
  World world;
  const CatalogueRanking ranking = world.rank({.ranking = "exhaustive"});
  ASSERT_EQ(ranking.examples.size(), world.examples.size() - 1);
  ASSERT_EQ(ranking.kinds.size(), 3u);
  EXPECT_EQ(ranking.num_titles, kNumItems - 1);
  EXPECT_TRUE(ranking.knows_histories);
  std::int64_t one_by_one = 0, ties = 0, in_history = 0;
  for (std::size_t place = 0; place < ranking.examples.size(); ++place) {
    const EvalExample& example = world.examples[ranking.examples[place]];
    ASSERT_FALSE(example.history.empty());
    in_history += std::ranges::find(example.history, *example.target) != example.history.end();
    std::vector<double> sums, means;
    for (std::uint32_t item = 0; item < kNumItems; ++item) {
      const Tokens title = world.title(example, item);
      sums.push_back(world.log_likelihood_alone(example, item));
      means.push_back(sums.back() / static_cast<double>(title.size()));
      one_by_one += world.dataset.prompt_length(example.index) + std::ssize(title);
    }
    expect_equal(ranking.ranks[0][place].among_all, naive_ranks(sums, *example.target, {}));
    expect_equal(ranking.ranks[0][place].without_history, naive_ranks(sums, *example.target, example.history));
    expect_equal(ranking.ranks[1][place].among_all, naive_ranks(means, *example.target, {}));
    ties += ranking.ranks[0][place].among_all.num_equal;
    const auto best = std::max_element(sums.begin(), sums.end()) - sums.begin();
    EXPECT_NEAR(sums[ranking.ranks[0][place].recommended.front()], sums[static_cast<std::size_t>(best)], 1e-9);
    EXPECT_EQ(ranking.ranks[0][place].recommended.size(), 10u);
  }
  EXPECT_GT(ties, 0);
  EXPECT_EQ(ranking.num_targets_in_history, in_history);
  EXPECT_EQ(ranking.num_tokens_one_by_one, one_by_one);
  EXPECT_LT(ranking.num_tokens_computed, one_by_one / 3);
}

TEST(Catalogue, AHistoryIsLeftOutOfWhatIsRecommended) {
  World world;
  const CatalogueRanking ranking = world.rank({.ranking = "exhaustive", .history_items = "exclude"});
  for (std::size_t place = 0; place < ranking.examples.size(); ++place) {
    for (const std::uint32_t item : ranking.ranks[0][place].recommended) {
      const auto& history = world.examples[ranking.examples[place]].history;
      EXPECT_EQ(std::ranges::find(history, item), history.end());
    }
  }
}

TEST(Catalogue, ABeamOfTheCataloguesWidthIsExhaustive) {
  World world;
  const CatalogueRanking all = world.rank({.ranking = "exhaustive"});
  const CatalogueRanking wide = world.rank({.ranking = "beam", .num_beams = kNumItems - 1});
  ASSERT_EQ(wide.kinds.size(), 2u);
  for (std::size_t place = 0; place < all.examples.size(); ++place) {
    for (const auto& [of_wide, of_all] : {std::pair{0, 0}, std::pair{1, 2}}) {
      const CatalogueRank& a = wide.ranks[static_cast<std::size_t>(of_wide)][place];
      const CatalogueRank& b = all.ranks[static_cast<std::size_t>(of_all)][place];
      expect_equal(a.among_all, b.among_all);
      expect_equal(a.without_history, b.without_history);
      EXPECT_EQ(a.recommended, b.recommended);
    }
  }
}

TEST(Catalogue, ANarrowBeamRanksWhatItFindsAboveTheRest) {
  World world;
  constexpr std::int64_t kBeams = 3;
  const CatalogueRanking narrow = world.rank({.ranking = "beam", .num_beams = kBeams});
  std::int64_t found = 0, history_in_beam = 0;
  for (std::size_t place = 0; place < narrow.examples.size(); ++place) {
    const EvalExample& example = world.examples[narrow.examples[place]];
    const CatalogueRank& rank = narrow.ranks[0][place];
    std::vector<double> sums;
    for (const std::uint32_t item : rank.recommended) sums.push_back(world.log_likelihood_alone(example, item));
    EXPECT_TRUE(std::is_sorted(sums.rbegin(), sums.rend(), [](double a, double b) { return a < b - 1e-9; }));
    const bool has_twins = std::ranges::find(rank.recommended, 3u) != rank.recommended.end();
    ASSERT_EQ(std::ssize(rank.recommended), kBeams + has_twins);  // items 3 and 7 are one title
    const bool is_found = std::ranges::find(rank.recommended, *example.target) != rank.recommended.end();
    found += is_found;
    if (is_found) continue;
    EXPECT_EQ(rank.among_all.num_higher, kBeams + has_twins);
    EXPECT_EQ(rank.among_all.num_equal, kNumItems - 1 - rank.among_all.num_higher);
    // Places of the beam that items of the history take do not count as hits of what it missed.
    EXPECT_EQ(hit_rate(rank.without_history, kBeams), 0.0);
    EXPECT_EQ(rank.without_history.pessimistic(), rank.without_history.num_candidates);
    for (const std::uint32_t item : rank.recommended)
      history_in_beam += std::ranges::find(example.history, item) != example.history.end();
  }
  EXPECT_GT(found, 0);
  EXPECT_GT(history_in_beam, 0);
}

/// Other passes, the same numbers: a catalogue in passes of a few titles, many examples in one pass.
TEST(Catalogue, TheSizeOfAPassMovesNoRank) {
  World world;
  const CatalogueRanking expected = world.rank({.ranking = "exhaustive"});
  for (const std::int64_t max_tokens : {1, 35, 10000}) {
    const CatalogueRanking found = world.rank({.ranking = "exhaustive"}, max_tokens);
    for (std::size_t kind = 0; kind < 3; ++kind) {
      for (std::size_t place = 0; place < found.examples.size(); ++place)
        expect_equal(found.ranks[kind][place].among_all, expected.ranks[kind][place].among_all);
    }
  }
}

/// Everything that a ranking says, in bits.
std::string text_of(const CatalogueRanking& ranking) {
  std::string text = fmt::format("{} {}\n", ranking.num_tokens_computed, ranking.num_tokens_one_by_one);
  for (const auto& of_kind : ranking.ranks) {
    for (const CatalogueRank& rank : of_kind) {
      for (const Ranks& r : {rank.among_all, rank.without_history})
        text += fmt::format("{} {} {} ", r.num_higher, r.num_equal, r.num_candidates);
      for (const std::uint32_t item : rank.recommended) text += fmt::format("{} ", item);
      text += "\n";
    }
  }
  return text;
}

/// In float32, where other batches would move bits.
std::string ranking_of(dist::Session& session, const std::filesystem::path& directory, const std::string& ranking) {
  TinyModel tiny(at::kFloat);
  const data::Dataset dataset(directory, "test");
  const auto examples = read_eval_examples(dataset, dataset.size(), {kEos});
  return text_of(rank_catalogue(session, tiny.decoder, dataset, examples, data::read_catalogue(dataset.info()),
                                {.ranking = ranking, .num_beams = 4}, 90));
}

/// Started under mpirun by the test below, with what the environment names.
TEST(MpiCatalogue, Rank) {
  const char* dataset = std::getenv("ALLRECO_TEST_DATASET");
  const char* output = std::getenv("ALLRECO_TEST_OUTPUT");
  const char* ranking = std::getenv("ALLRECO_TEST_RANKING");
  ASSERT_TRUE(dataset && output && ranking);
  support::LoneSession ranks;
  const std::string text = ranking_of(ranks.get(), dataset, ranking);
  if (ranks.get().is_leader()) core::write_file_atomically(output, text);
}

/// Also with fewer examples than ranks.
class CatalogueWorldSize : public ::testing::TestWithParam<std::tuple<const char*, std::uint64_t>> {};
INSTANTIATE_TEST_SUITE_P(Catalogue, CatalogueWorldSize,
                         ::testing::Values(std::tuple{"exhaustive", 40}, std::tuple{"beam", 40},
                                           std::tuple{"exhaustive", 2}),
                         [](const auto& tested) {
                           return fmt::format("{}{}", std::get<0>(tested.param), std::get<1>(tested.param));
                         });

TEST_P(CatalogueWorldSize, ChangesNothing) {
  const support::TemporaryDirectory scratch;
  const auto [ranking, count] = GetParam();
  const auto directory = testing::write_small_dataset(scratch / "ds", count);
  std::string alone;
  {
    support::LoneSession one;
    alone = ranking_of(one.get(), directory, ranking);
  }
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  ::setenv("ALLRECO_TEST_DATASET", directory.c_str(), 1);
  ::setenv("ALLRECO_TEST_RANKING", ranking, 1);
  for (const int ranks : {2, 3, 4}) {
    const auto output = scratch / fmt::format("ranks{}", ranks);
    ::setenv("ALLRECO_TEST_OUTPUT", output.c_str(), 1);
    const std::string command =
        fmt::format("mpirun --oversubscribe --bind-to none -n {} {} --gtest_filter=MpiCatalogue.* >{}.log 2>&1", ranks,
                    program, output.string());
    ASSERT_EQ(std::system(command.c_str()), 0) << core::read_file(output.string() + ".log");
    EXPECT_EQ(core::read_file(output), alone) << ranks;
  }
}

TEST(Catalogue, SaysWhyThereIsNothingToRank) {
  World world;
  for (EvalExample& example : world.examples) example.target.reset();
  EXPECT_EQ(world.rank({.ranking = "exhaustive"}).not_applicable, "no example says which item was bought");
  world.catalogue.clear();
  EXPECT_EQ(world.rank({.ranking = "exhaustive"}).not_applicable, "the dataset has no items.jsonl");
}

}  // namespace
}  // namespace allreco::eval
