#include "recommend/recommender.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>
#include <numeric>
#include <set>

#include "eval/catalogue.h"
#include "eval/eval_example.h"
#include "recommend/answer.h"
#include "recommend/shop.h"
#include "support/lone_session.h"
#include "support/message_of.h"

namespace allreco::recommend {
namespace {

using testing::Shop;
using testing::SmallModel;

/// The data and the model are made once for all tests of a process.
const Shop& open_shop() {
  static const Shop shop("amazon-next-item-open", 0);
  return shop;
}
SmallModel& model() {
  static SmallModel small;
  return small;
}
Recommender& open_recommender() {
  static Recommender recommender(model().decoder, open_shop().info(), {});
  return recommender;
}

Request request_for(std::vector<std::uint32_t> items, std::int64_t k = 10, bool exclude_history = true) {
  Request request{{}, k, exclude_history, nullptr};
  for (const std::uint32_t item : items) request.history.emplace_back(std::int64_t{item});
  return request;
}

/// The length of an example with the longest title as its answer.
std::int64_t length_with_longest_title(std::int64_t prompt_length, const std::vector<data::Item>& items,
                                       data::TokenId eos) {
  std::size_t longest = 0;
  for (const data::Item& item : items) longest = std::max(longest, item.tokens.size());
  return prompt_length + static_cast<std::int64_t>(longest) + (eos >= 0 ? 1 : 0);
}

/// Every prompt of the shards, token by token: it must be built again from the items of its history.
void expect_prompts_of_shards(const Shop& shop, std::int64_t max_length, std::int64_t& num_whole,
                              std::int64_t& num_shortened) {
  const data::DatasetInfo info = shop.info();
  const ItemIndex index(data::read_catalogue(info));
  const PromptBuilder prompts(info, index);
  for (const char* split : {"train", "test"}) {
    const data::Dataset dataset(info.directory, split);
    for (std::int64_t i = 0; i < dataset.size(); ++i) {
      const data::Example example = dataset.example(i);
      const Prompt prompt = prompts.build(example.history);
      const std::vector<data::TokenId> expected(example.tokens.begin(), example.tokens.begin() + example.prompt_length);
      const bool was_cut = prompt.history.size() < example.history.size();
      ASSERT_TRUE(std::equal(prompt.history.rbegin(), prompt.history.rend(), example.history.rbegin()));
      ASSERT_TRUE(length_with_longest_title(std::ssize(prompt.tokens), index.items(), info.eos_id) <= max_length ||
                  prompt.history.size() == 1);
      if (!was_cut) {
        ASSERT_EQ(prompt.tokens, expected) << split << " " << i;
      }
      if (length_with_longest_title(example.prompt_length, index.items(), info.eos_id) <= max_length) {
        ASSERT_EQ(prompt.tokens, expected) << split << " " << i;
      }
      ++(was_cut ? num_shortened : num_whole);
    }
  }
}

TEST(Prompts, AreThoseOfTheShards) {
  std::int64_t num_whole = 0, num_shortened = 0;
  expect_prompts_of_shards(open_shop(), 512, num_whole, num_shortened);
  EXPECT_GT(num_whole, 900);
}

TEST(Prompts, TooLongHistoriesLoseTheirOldestItems) {
  const Shop shop("amazon-next-item-open", 0, /*max_length=*/320);
  std::int64_t num_whole = 0, num_shortened = 0;
  expect_prompts_of_shards(shop, 320, num_whole, num_shortened);
  EXPECT_GT(num_whole, 50);
  EXPECT_GT(num_shortened, 50);
}

TEST(Prompts, OnlyTheNewestItemsAreShown) {
  std::vector<std::uint32_t> history(25);
  std::iota(history.begin(), history.end(), 0u);
  const Prompt prompt = open_recommender().query_of(request_for(history)).prompt;
  EXPECT_LE(prompt.history.size(), 10u) << "max_history";
  EXPECT_EQ(prompt.history.back(), 24u);
}

TEST(Prompts, OptionsAreThePopularItemsThatTheHistoryLacks) {
  const Shop shop("amazon-next-item", 4);
  const data::DatasetInfo info = shop.info();
  const ItemIndex index(data::read_catalogue(info));
  const PromptBuilder prompts(info, index);
  ASSERT_EQ(prompts.num_options(), 4);
  const std::vector<std::uint32_t> history{3, 17};
  const Prompt prompt = prompts.build(history);
  ASSERT_EQ(prompt.options.size(), 4u);
  std::int64_t least_popular_option = INT64_MAX;
  std::vector<std::string> titles;
  for (const std::uint32_t item : prompt.options) {
    titles.push_back(index.item(item).title);
    least_popular_option = std::min(least_popular_option, index.item(item).train_count);
  }
  const auto has_title = [&](const std::string& title) {
    return std::find(titles.begin(), titles.end(), title) != titles.end();
  };
  for (const std::uint32_t item : history) EXPECT_FALSE(has_title(index.item(item).title));
  for (const data::Item& item : index.items()) {
    if (item.id == 3 || item.id == 17 || has_title(item.title)) continue;
    EXPECT_LE(item.train_count, least_popular_option) << item.title;
  }
  const data::Tokenizer tokenizer(info.directory);
  std::string options = "Options:";
  for (std::size_t i = 0; i < titles.size(); ++i)
    options += fmt::format("\n{}) {}", static_cast<char>('A' + i), titles[i]);
  EXPECT_NE(tokenizer.decode(prompt.tokens).find(options), std::string::npos) << tokenizer.decode(prompt.tokens);
}

/// log p of a title and EOS after a prompt, alone in its batch.
double alone(const Prompt& prompt, const data::Item& item, data::TokenId eos) {
  std::vector<data::TokenId> tokens = prompt.tokens;
  tokens.insert(tokens.end(), item.tokens.begin(), item.tokens.end());
  tokens.push_back(eos);
  model::PackedBatchBuilder builder;
  builder.add_example(tokens, std::ssize(prompt.tokens));
  const at::Tensor log_p = model().decoder.log_probabilities(builder.build());
  return std::accumulate(log_p.const_data_ptr<double>(), log_p.const_data_ptr<double>() + log_p.numel(), 0.0);
}

TEST(Recommender, ProbabilitiesAreThoseOfEveryTitleScoredAlone) {
  Recommender& recommender = open_recommender();
  const data::DatasetInfo info = open_shop().info();
  const Query query = recommender.query_of(request_for({5, 40, 77}, 1000));
  const std::vector<Recommendation> all = recommender.recommend(std::span(&query, 1)).front();
  const auto& items = recommender.index().items();
  ASSERT_EQ(all.size(), items.size() - 3);
  double total = 0, largest = -INFINITY;
  std::vector<double> expected;
  for (const data::Item& item : items) {
    expected.push_back(alone(query.prompt, item, info.eos_id));
    if (item.id == 5 || item.id == 40 || item.id == 77) continue;
    largest = std::max(largest, expected.back());
  }
  for (const data::Item& item : items)
    if (item.id != 5 && item.id != 40 && item.id != 77) total += std::exp(expected[item.id] - largest);
  double sum = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Recommendation& r = all[i];
    // float64: some 1,000 sums of terms of about 1, so 1e-12 at most (docs/evaluation.md).
    EXPECT_NEAR(r.log_likelihood, expected[r.item], 1e-10) << r.item;
    EXPECT_NEAR(r.probability, std::exp(expected[r.item] - largest) / total, 1e-10) << r.item;
    EXPECT_GE(all[i > 0 ? i - 1 : 0].probability, r.probability);
    sum += r.probability;
  }
  EXPECT_NEAR(sum, 1, 1e-12);
}

TEST(Recommender, RanksAsEvaluateDoes) {
  const data::Dataset dataset(open_shop().dataset(), "test");
  const auto eos = eval::end_tokens(dataset.info(), model().decoder.config().eos_token_ids);
  const auto examples = eval::read_eval_examples(dataset, 5, eos);
  support::LoneSession session;
  Recommender& recommender = open_recommender();
  for (const bool exclude : {false, true}) {
    eval::CatalogueOptions options;
    options.ranking = "exhaustive";
    options.history_items = exclude ? "exclude" : "rank";
    const auto ranking = eval::rank_catalogue(session.get(), model().decoder, dataset, examples,
                                              recommender.index().items(), options, 4096);
    ASSERT_EQ(ranking.examples.size(), examples.size());
    std::vector<Query> queries;
    for (const auto& example : examples)
      queries.push_back(recommender.query_of(request_for(example.history, eval::kNumRecommended, exclude)));
    const auto answers = recommender.recommend(queries);
    std::size_t num_compared = 0;
    for (std::size_t i = 0; i < examples.size(); ++i) {
      if (queries[i].prompt.tokens != dataset.prompt(examples[i].index)) continue;  // shortened for the longest title
      std::vector<std::uint32_t> items;
      for (const Recommendation& r : answers[i]) items.push_back(r.item);
      EXPECT_EQ(items, ranking.ranks[0][i].recommended) << i;
      ++num_compared;
    }
    EXPECT_GE(num_compared, 3u);
  }
}

TEST(Recommender, BatchesChangeTheScoresByRoundingOnly) {
  const Shop& shop = open_shop();
  std::vector<Query> queries;
  for (std::uint32_t i = 0; i < 4; ++i)
    queries.push_back(open_recommender().query_of(request_for({i, 2 * i + 1, 3 * i + 2}, 5)));
  const auto together = open_recommender().recommend(queries);
  for (const std::int64_t max_tokens : {500, 100'000}) {  // the trie in passes; several prompts with their tries in one
    RankingOptions options;
    options.max_tokens_per_batch = max_tokens;
    Recommender other(model().decoder, shop.info(), options);
    const auto all = other.recommend(queries);
    for (std::size_t i = 0; i < queries.size(); ++i) {
      const auto alone = other.recommend(std::span(queries).subspan(i, 1)).front();
      ASSERT_EQ(together[i].size(), 5u);
      for (std::size_t rank = 0; rank < 5; ++rank) {
        for (const Recommendation& r : {all[i][rank], alone[rank]}) {
          EXPECT_EQ(r.item, together[i][rank].item);
          EXPECT_NEAR(r.log_likelihood, together[i][rank].log_likelihood, 1e-10);  // as above
        }
      }
    }
  }
}

std::set<std::uint32_t> items_in(const std::vector<Recommendation>& recommendations) {
  std::set<std::uint32_t> items;
  for (const Recommendation& r : recommendations) items.insert(r.item);
  return items;
}

/// Those of as many titles as the beam holds, or of all, if these are fewer: no search ends short of that, as each
/// hypothesis goes on to a title, and all of them are different.
void expect_items_of_titles(const std::set<std::uint32_t>& items, std::int64_t num_beams) {
  std::set<std::vector<data::TokenId>> titles, all_titles;
  const auto& catalogue = open_recommender().index().items();
  for (const std::uint32_t item : items) titles.insert(catalogue[item].tokens);
  for (const data::Item& item : catalogue) {
    all_titles.insert(item.tokens);
    EXPECT_EQ(items.contains(item.id), titles.contains(item.tokens)) << "all items of a title or none: " << item.id;
  }
  EXPECT_EQ(std::ssize(titles), std::min(num_beams, std::ssize(all_titles)));
}

TEST(Recommender, RefusesMoreItemsThanABeamHolds) {
  const Recommender beam(model().decoder, open_shop().info(), {.num_beams = 3});
  EXPECT_EQ(beam.query_of(request_for({8, 9}, 3)).k, 3);
  const std::string message = support::message_of<RequestError>([&] { beam.query_of(request_for({8, 9}, 4)); });
  EXPECT_NE(message.find("num_beams = 3"), std::string::npos) << message;
  const Recommender holds_all(model().decoder, open_shop().info(), {.num_beams = 100'000});
  EXPECT_EQ(holds_all.query_of(request_for({8, 9}, 4)).k, 4);
}

TEST(Recommender, WhatABeamFindsHasTheScoresThatAllHave) {
  const std::vector<Query> queries{open_recommender().query_of(request_for({8, 9}, 1000, false)),
                                   open_recommender().query_of(request_for({8, 9}, 1000))};
  for (const char* scoring : {"log_likelihood", "masked"}) {
    Recommender exhaustive(model().decoder, open_shop().info(), {.scoring = scoring});
    const auto all = exhaustive.recommend(std::span(queries).first(1)).front();
    std::map<std::uint32_t, double> scores;
    for (const Recommendation& r : all) scores[r.item] = r.log_likelihood;
    for (const std::int64_t num_beams : {30, 100'000}) {  // the latter prunes nothing
      Recommender beam(model().decoder, open_shop().info(), {.scoring = scoring, .num_beams = num_beams});
      const auto answers = beam.recommend(queries);
      std::set<std::uint32_t> items = items_in(answers[0]);
      expect_items_of_titles(items, num_beams);
      for (const std::uint32_t item : {8u, 9u}) items.erase(item);
      EXPECT_EQ(items_in(answers[1]), items) << "without the history";
      for (const auto& found : answers) {
        double sum = 0;
        for (const Recommendation& r : found) {
          EXPECT_NEAR(r.log_likelihood, scores.at(r.item), 1e-10) << scoring << " " << r.item;
          sum += r.probability;
        }
        EXPECT_NEAR(sum, 1, 1e-9) << "among those that were found";
      }
    }
  }
}

TEST(Recommender, MaskedProbabilitiesOfAllTitlesAddUpToOne) {
  Recommender masked(model().decoder, open_shop().info(), {.scoring = "masked"});
  const Query query = masked.query_of(request_for({1, 2}, 1000, false));
  std::set<std::string> titles;
  double sum = 0;  // of the probabilities to say each title, before anything is renormalised over the items
  const auto all = masked.recommend(std::span(&query, 1));
  for (const Recommendation& r : all.front())
    if (titles.insert(masked.index().item(r.item).title).second) sum += std::exp(r.log_likelihood);
  EXPECT_NEAR(sum, 1, 1e-9);
}

TEST(Recommender, ItemsOfTheHistoryAreLeftOutOrNot) {
  Recommender& recommender = open_recommender();
  const auto items_of = [&](const Query& query) {
    std::set<std::uint32_t> items;
    const auto all = recommender.recommend(std::span(&query, 1));
    for (const Recommendation& r : all.front()) items.insert(r.item);
    return items;
  };
  const std::size_t num_items = recommender.index().items().size();
  EXPECT_EQ(items_of(recommender.query_of(request_for({4, 6}, 1000, false))).size(), num_items);
  const auto without = items_of(recommender.query_of(request_for({4, 6}, 1000)));
  EXPECT_EQ(without.size(), num_items - 2);
  EXPECT_FALSE(without.contains(4) || without.contains(6));
  std::vector<std::uint32_t> all(num_items);
  std::iota(all.begin(), all.end(), 0u);
  EXPECT_TRUE(items_of(recommender.query_of(request_for(all))).empty()) << "nothing is left to recommend";
}

TEST(Recommender, ATitleLeavesOutAllItemsThatShareIt) {
  const ItemIndex& index = open_recommender().index();
  for (const data::Item& item : index.items()) {
    const auto same = index.find(item.title);
    if (same.size() < 2) continue;
    Request request{{ItemName(item.title)}, 10, true, nullptr};
    EXPECT_EQ(open_recommender().query_of(request).left_out, std::vector<std::uint32_t>(same.begin(), same.end()));
    request.history = {std::int64_t{item.id}};
    EXPECT_EQ(open_recommender().query_of(request).left_out, std::vector<std::uint32_t>{item.id});
    return;
  }
  GTEST_FAIL() << "no two items of the example data share a title";
}

TEST(Recommender, AnUnknownItemIsNamedWithTheNearest) {
  const data::Item& item = open_recommender().index().item(20);
  Request request = request_for({1});
  request.history.emplace_back(item.title + "s\x1b[31m");
  try {
    open_recommender().query_of(request);
    FAIL() << "it is taken";
  } catch (const RequestError& e) {
    EXPECT_EQ(e.kind(), RequestError::Kind::unknown_item);
    EXPECT_EQ(e.details()["suggestion"]["title"], item.title);
    EXPECT_EQ(std::string(e.what()).find('\x1b'), std::string::npos);
    EXPECT_NE(std::string(e.what()).find("\\x1b"), std::string::npos) << e.what();
  }
  EXPECT_THROW(open_recommender().query_of(request_for({1'000'000})), RequestError);
}

TEST(Answer, NothingInItActsOnATerminal) {
  const ItemIndex index(
      {{0, "A0", "<script>alert(1)</script>", 0, {1}}, {1, "A\x1b[1m", "red \x1b[31m \u202e é\n> x", 0, {1}}});
  const Query query{{{}, {1}, {}}, {}, 2};
  const std::vector<Recommendation> best{{0, 0.75, -1}, {1, 0.25, -2}};
  const std::string line = to_line(answer_json("\x7f", query, best, index));
  for (const char c : line) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << line;
  const core::Json json = core::Json::parse(line);
  EXPECT_EQ(json["recommendations"][1]["title"], index.item(1).title);
  EXPECT_EQ(json["recommendations"][0]["title"], "<script>alert(1)</script>");
  EXPECT_EQ(json["id"], "\x7f");
  const std::string table = answer_table(query, best, index);
  EXPECT_EQ(table.find('\x1b'), std::string::npos);
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 5) << table;
}

TEST(Dataset, WhatHasNoHistoriesIsRefused) {
  const data::DatasetInfo info = open_shop().info();
  const ItemIndex index(data::read_catalogue(info));
  data::DatasetInfo prompts = info;
  prompts.json["source"] = "prompts";
  EXPECT_THROW(PromptBuilder(prompts, index), core::UserError);
  data::DatasetInfo tokens = info;
  tokens.tokenizer_sha256.clear();
  EXPECT_THROW(PromptBuilder(tokens, index), core::UserError);
  data::DatasetInfo other = info;
  other.tokenizer_sha256[0] = other.tokenizer_sha256[0] == '0' ? '1' : '0';
  EXPECT_THROW(PromptBuilder(other, index), core::UserError);
  data::DatasetInfo no_options = info;
  no_options.json.erase("options");
  EXPECT_THROW(PromptBuilder(no_options, index), core::UserError);
}

}  // namespace
}  // namespace allreco::recommend
