// Whole prepare() runs on the Gift Cards example, against the naive account of the same files.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "core/random.h"
#include "data/input/titles.h"
#include "data/prepare/naive_history.h"
#include "data/prepare/prepare.h"
#include "data/prepare/text_files.h"
#include "data/store/dataset.h"
#include "data/store/dataset_samples.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::data {
using core::Json;

namespace {

const std::string kExamples = ALLRECO_SOURCE_DIR "/examples";

std::map<std::string, std::string> naive_titles() {
  LineReader lines(kExamples + "/gift-cards/metadata.json.gz");
  std::map<std::string, std::string> titles;
  std::string line;
  while (lines.next(line)) {
    const Json row = Json::parse(line);
    titles.try_emplace(row["asin"], clean_title(row["title"].get<std::string>(), 200).text);
  }
  return titles;
}

/// "C) title" of the option lines of a decoded prompt.
std::vector<std::string> options_in(const std::string& prompt) {
  std::vector<std::string> options;
  for (size_t at = prompt.find("\nOptions:"); (at = prompt.find('\n', at + 1)) != std::string::npos;) {
    const std::string line = prompt.substr(at + 1, prompt.find('\n', at + 1) - at - 1);
    if (line.empty()) break;
    options.push_back(line);
  }
  return options;
}

}  // namespace

class PrepareReviewsTest : public ::testing::Test {
 protected:
  PrepareConfig config(const std::string& name) const {
    PrepareConfig c;
    c.reviews = kExamples + "/gift-cards/reviews.json.gz";
    c.metadata = kExamples + "/gift-cards/metadata.json.gz";
    c.tokenizer = kExamples + "/stories260k";
    c.output_dir = (scratch_.path() / name).string();
    return c;
  }
  Json info_of(const std::string& name) const { return read_dataset_info(scratch_.path() / name).json; }
  void expect_nothing_left() const { EXPECT_EQ(scratch_.num_entries(), 0u); }

  support::TemporaryDirectory scratch_;
};

/// What the naive account knows of the example files, and the checks of one example against it.
class GiftCardsOracle {
 public:
  GiftCardsOracle(const PrepareConfig& config, std::int64_t validation_start, std::int64_t test_start)
      : purchases_(naive_purchases(naive_reviews(config.reviews), titles_, 0, false)),
        tokenizer_(config.tokenizer),
        items_(read_catalogue(read_dataset_info(config.output_dir))),
        validation_start_(validation_start),
        test_start_(test_start) {
    for (const auto& [reviewer, items] : purchases_) {
      for (const auto& [time, asin] : items) {
        bought_[reviewer].insert(titles_.at(asin));
        if (time < validation_start) train_items_.insert(asin);
        const auto first = first_times_.try_emplace(asin, time).first;
        first->second = std::min(first->second, time);
      }
    }
  }

  /// Of a split, in order.
  std::vector<NaiveExample> examples(const std::string& split, std::int64_t min_history) const {
    std::vector<NaiveExample> all = naive_examples(purchases_, min_history);
    std::erase_if(all, [&](const NaiveExample& e) {
      return (e.time >= test_start_ ? "test" : e.time >= validation_start_ ? "validation" : "train") != split;
    });
    return all;
  }
  bool is_tied(const NaiveExample& e) const { return purchases_.at(e.reviewer).contains({e.time, e.earlier.back()}); }
  const std::vector<Item>& items() const { return items_; }
  const std::map<std::string, std::string>& titles() const { return titles_; }

  void check_fields(const Example& found, const NaiveExample& expected) const {
    EXPECT_EQ(found.user, core::key_of(expected.reviewer));
    EXPECT_EQ(found.timestamp, expected.time);
    EXPECT_EQ(items_[*found.target].asin, expected.target);
    EXPECT_EQ(items_[*found.last_item].asin, expected.earlier.back());
    std::vector<std::string> history;
    for (const std::uint32_t item : found.history) history.push_back(items_[item].asin);
    const auto newest = std::min<std::ptrdiff_t>(std::ssize(expected.earlier), 10);
    EXPECT_EQ(history, std::vector<std::string>(expected.earlier.end() - newest, expected.earlier.end()));
  }

  /// BOS, prompt, answer, EOS, read back from the tokens. Returns the prompt's text.
  std::string check_tokens(const Example& found, const NaiveExample& expected) const {
    const auto answer_at = found.tokens.begin() + found.prompt_length;
    EXPECT_EQ(std::vector<TokenId>(answer_at, found.tokens.end() - 1), items_[*found.target].tokens);
    EXPECT_EQ(tokenizer_.decode(items_[*found.target].tokens), titles_.at(expected.target));
    EXPECT_EQ(found.tokens.front(), 1);
    EXPECT_EQ(found.tokens.back(), 2);
    EXPECT_LE(found.tokens.size(), 512u);
    return tokenizer_.decode(std::vector<TokenId>(found.tokens.begin(), answer_at));
  }

  /// The prompt shows the newest purchases and nothing else. Returns whether some are missing of the ten that it may
  /// show.
  bool check_history(const std::string& prompt, const NaiveExample& expected) const {
    std::string history;
    size_t num_shown = 0;
    for (size_t k = expected.earlier.size(); k-- > 0 && num_shown < 10;) {
      const std::string longer = "\n- " + titles_.at(expected.earlier[k]) + history;
      if (!contains(prompt, longer + "\nOptions:")) break;
      history = longer;
      ++num_shown;
    }
    EXPECT_TRUE(contains(prompt, "Bought:" + history + "\nOptions:")) << prompt;
    EXPECT_GE(num_shown, 1u);
    return num_shown < std::min<size_t>(expected.earlier.size(), 10);
  }

  /// The options in the text are the candidates; the target is one, the others were for sale in the train period or by
  /// the target's time, and never bought.
  void check_candidates(const std::string& prompt, const Example& found, const NaiveExample& expected) const {
    const std::vector<std::string> shown = options_in(prompt);
    ASSERT_EQ(shown.size(), 4u) << prompt;
    ASSERT_EQ(found.candidates.size(), 4u);
    EXPECT_EQ(found.candidates[*found.gold], *found.target);
    std::set<std::string> different;
    for (size_t k = 0; k < 4; ++k) {
      const Item& item = items_[found.candidates[k]];
      EXPECT_EQ(shown[k], std::string(1, static_cast<char>('A' + k)) + ") " + item.title);
      different.insert(item.title);
      EXPECT_EQ(bought_.at(expected.reviewer).contains(item.title), k == *found.gold);
      EXPECT_TRUE(k == *found.gold || train_items_.contains(item.asin) || first_times_.at(item.asin) <= expected.time);
    }
    EXPECT_EQ(different.size(), 4u);
  }

 private:
  std::map<std::string, std::string> titles_ = naive_titles();
  NaivePurchases purchases_;
  Tokenizer tokenizer_;
  std::vector<Item> items_;
  std::int64_t validation_start_;
  std::int64_t test_start_;
  std::map<std::string, std::set<std::string>> bought_;
  std::set<std::string> train_items_;
  std::map<std::string, std::int64_t> first_times_;
};

TEST_F(PrepareReviewsTest, EveryExampleIsWhatTheNaiveAccountSays) {
  const PrepareConfig c = config("ds");
  prepare(c, "the command");
  const Json json = info_of("ds");
  const GiftCardsOracle oracle(c, json["split_method"]["validation_start"], json["split_method"]["test_start"]);
  std::vector<std::int64_t> train_targets(oracle.items().size());
  std::int64_t num_examples = 0;
  std::int64_t num_truncated = 0;
  for (const std::string split : {"train", "validation", "test"}) {
    const Dataset dataset(c.output_dir, split);
    const std::vector<NaiveExample> expected = oracle.examples(split, 4);
    ASSERT_EQ(dataset.size(), std::ssize(expected));
    std::int64_t num_tied = 0;
    std::vector<std::int64_t> positions(4);
    for (std::int64_t i = 0; i < dataset.size(); ++i) {
      const NaiveExample& e = expected[static_cast<size_t>(i)];
      const Example found = dataset.example(i);
      oracle.check_fields(found, e);
      const std::string prompt = oracle.check_tokens(found, e);
      num_truncated += oracle.check_history(prompt, e) ? 1 : 0;
      oracle.check_candidates(prompt, found, e);
      num_tied += oracle.is_tied(e) ? 1 : 0;
      ++positions[*found.gold];
      if (split == "train") ++train_targets[*found.target];
    }
    EXPECT_DOUBLE_EQ(json["share_of_targets_tied_with_last_item"][split],
                     static_cast<double>(num_tied) / static_cast<double>(dataset.size()));
    EXPECT_EQ(json["gold_positions"][split], positions);
    num_examples += dataset.size();
  }
  EXPECT_EQ(num_examples, 1133);
  EXPECT_EQ(json["counts"]["examples"], num_examples);
  EXPECT_EQ(json["counts"]["examples_truncated"], num_truncated);
  EXPECT_GT(num_truncated, 0);
  for (const Item& item : oracle.items()) {
    EXPECT_EQ(item.train_count, train_targets[item.id]);
    EXPECT_EQ(item.title, oracle.titles().at(item.asin));
  }
  EXPECT_EQ(json["counts"]["review_rows"], 2972);
  EXPECT_EQ(json["counts"]["dropped"]["reviews"]["duplicate_row"], 3);
  EXPECT_EQ(json["command"], "the command");
  EXPECT_EQ(json["options"]["seed"], 42);
}

TEST_F(PrepareReviewsTest, FiltersCountWhatTheyDrop) {
  PrepareConfig c = config("ds");
  c.min_rating = 5;
  c.verified_only = true;
  c.min_history = 2;
  const std::string summary = prepare(c, "");
  const auto reviews = naive_reviews(c.reviews);
  const auto purchases = naive_purchases(reviews, naive_titles(), 5, true);
  const auto expected = naive_examples(purchases, 2);
  const Json counts = info_of("ds")["counts"];
  EXPECT_EQ(counts["examples"], expected.size());
  std::int64_t kept = 0;
  std::int64_t num_short = 0;
  for (const auto& [reviewer, items] : purchases) {
    kept += std::ssize(items);
    num_short += items.size() <= 2 ? 1 : 0;
  }
  EXPECT_EQ(counts["reviews_kept"], kept);
  EXPECT_EQ(counts["dropped"]["shoppers"]["shoppers_with_too_few_purchases"], num_short);
  std::int64_t sum = kept;
  for (const auto& [reason, n] : counts["dropped"]["reviews"].items()) sum += n.get<std::int64_t>();
  EXPECT_EQ(sum, 2972);
  EXPECT_TRUE(contains(summary, "below_min_rating") && contains(summary, "not_verified")) << summary;
}

TEST_F(PrepareReviewsTest, TheSameRowsGiveTheSameBytes) {
  prepare(config("a"), "");
  PrepareConfig again = config("b");
  // The same rows backwards, plain instead of compressed: the result does not depend on the file's order.
  LineReader lines(again.reviews);
  std::string text;
  std::string line;
  while (lines.next(line)) text = line + "\n" + text;
  support::TemporaryDirectory other;
  overwrite(other.path() / "reviews.json", text);
  again.reviews = (other.path() / "reviews.json").string();
  prepare(again, "");
  int num_shards = 0;
  for (const auto& entry : std::filesystem::directory_iterator(scratch_.path() / "a")) {
    if (entry.path().filename() == "dataset.json") continue;  // names the inputs
    EXPECT_EQ(core::sha256_of_file(entry.path()),
              core::sha256_of_file(scratch_.path() / "b" / entry.path().filename()));
    num_shards += entry.path().extension() == ".h5" ? 1 : 0;
  }
  EXPECT_EQ(num_shards, 3);
  EXPECT_EQ(info_of("a")["splits"], info_of("b")["splits"]);
  EXPECT_EQ(info_of("a")["counts"], info_of("b")["counts"]);
  again = config("c");
  again.seed = 43;
  prepare(again, "");
  EXPECT_NE(info_of("c")["splits"], info_of("a")["splits"]);
}

TEST_F(PrepareReviewsTest, RandomSplitAndOpenTemplate) {
  PrepareConfig c = config("ds");
  c.split = "random";
  c.num_candidates = 0;
  c.prompt_template = "amazon-next-item-open";
  prepare(c, "");
  const Json json = info_of("ds");
  EXPECT_EQ(json["split_method"]["method"], "random");
  EXPECT_TRUE(contains(json["split_method"]["note"], "not comparable"));
  EXPECT_EQ(Dataset(c.output_dir, "test").size(), std::llround(1133 * 0.1));
  EXPECT_FALSE(Dataset(c.output_dir, "train").has_candidates());
  EXPECT_TRUE(json["gold_positions"].empty());
}

TEST_F(PrepareReviewsTest, BadInputIsNamedAndNothingIsLeft) {
  support::TemporaryDirectory other;
  const auto path_of = [&](const char* name) { return (other.path() / name).string(); };
  const auto error_with = [&](auto change) {
    PrepareConfig c = config("made/for/this/ds");
    change(c);
    const std::string message = support::message_of([&] { prepare(c, ""); });
    expect_nothing_left();
    return message;
  };
  const std::string bytes = core::read_file(config("").reviews);
  overwrite(path_of("cut.json.gz"), bytes.substr(0, bytes.size() / 2));
  overwrite(path_of("empty.json"), "");
  overwrite(path_of("bad.json"), noisy_lines(50));
  overwrite(path_of("html.json"), R"({"asin": "B004LLIKVU", "title": "<span class=\"a\""})");

  std::string message = error_with([&](PrepareConfig& c) { c.reviews = path_of("cut.json.gz"); });
  EXPECT_TRUE(contains(message, "cut.json.gz ends early, in line ")) << message;
  message = error_with([&](PrepareConfig& c) { c.reviews = path_of("none.json.gz"); });
  EXPECT_TRUE(contains(message, "none.json.gz: No such file")) << message;
  message = error_with([&](PrepareConfig& c) { c.reviews = path_of("empty.json"); });
  EXPECT_TRUE(contains(message, "holds no review")) << message;
  message = error_with([&](PrepareConfig& c) { c.metadata = path_of("bad.json"); });
  EXPECT_TRUE(contains(message, "50 of 50 lines are malformed") && contains(message, "line 1: no asin")) << message;
  message = error_with([&](PrepareConfig& c) { c.metadata = path_of("html.json"); });
  EXPECT_TRUE(contains(message, "no example is left") && contains(message, "title_markup_only") &&
              contains(message, "no_metadata"))
      << message;
  message = error_with([&](PrepareConfig& c) { c.min_history = 1000; });
  EXPECT_TRUE(contains(message, "shoppers_with_too_few_purchases 458")) << message;
  message = error_with([&](PrepareConfig& c) { c.max_length = 30; });
  EXPECT_TRUE(contains(message, "too_long 1133")) << message;
  message = error_with([&](PrepareConfig& c) {
    c.num_candidates = 254;
    c.prompt_template = "amazon-next-item-open";
  });
  EXPECT_TRUE(contains(message, "too_few_negatives 1133")) << message;
  message = error_with([&](PrepareConfig& c) { c.prompt_template = "plain"; });
  EXPECT_TRUE(contains(message, "no place for a history")) << message;
  message = error_with([&](PrepareConfig& c) { c.num_candidates = 27; });
  EXPECT_TRUE(contains(message, "end at 26")) << message;
  message = error_with([&](PrepareConfig& c) { c.num_candidates = 0; });
  EXPECT_TRUE(contains(message, "amazon-next-item-open")) << message;
}

TEST(PrepareConfigTest, EveryOptionHasItsRange) {
  PrepareConfig good;
  good.reviews = "r";
  good.metadata = "m";
  good.tokenizer = "t";
  good.output_dir = "o";
  EXPECT_NO_THROW(validate(good));
  const auto expect_error = [&](auto change, const char* part) {
    PrepareConfig c = good;
    change(c);
    const std::string message = support::message_of([&] { validate(c); });
    EXPECT_TRUE(contains(message, part)) << message;
  };
  expect_error([](auto& c) { c.prompts = "p"; }, "exactly one of");
  expect_error([](auto& c) { c.reviews = c.metadata = ""; }, "exactly one of");
  expect_error([](auto& c) { c.metadata = ""; }, "metadata is missing");
  expect_error([](auto& c) { c.output_dir = ""; }, "output_dir");
  expect_error([](auto& c) { c.tokenizer = ""; }, "tokenizer is missing");
  expect_error([](auto& c) { c.split = "tmie"; }, "split = tmie: expected one of auto, time, user, random, rows");
  expect_error([](auto& c) { c.split = "rows"; }, "carry no split");
  expect_error([](auto& c) { c.validation_share = c.test_share = 0.5; }, "must be below 1");
  expect_error([](auto& c) { c.test_share = std::nan(""); }, "test_share = nan");
  expect_error([](auto& c) { c.test_share = -0.1; }, "test_share");
  expect_error([](auto& c) { c.min_history = -1; }, "min_history = -1: expected");
  expect_error([](auto& c) { c.max_history = 0; }, "max_history");
  expect_error([](auto& c) { c.min_rating = 6; }, "min_rating");
  expect_error([](auto& c) { c.num_candidates = 1; }, "0, or 2 to 254");
  expect_error([](auto& c) { c.negatives = "hard"; }, "uniform, popularity");
  expect_error([](auto& c) { c.max_length = 3; }, "max_length");
  expect_error([](auto& c) { c.max_bad_line_share = 2; }, "max_bad_line_share");
  expect_error([](auto& c) { c.max_title_length = 0; }, "max_title_length");
  expect_error([](auto& c) { c.vocab_size = -1; }, "vocab_size");
  expect_error([](auto& c) { c.examples_per_shard = 0; }, "examples_per_shard");
  expect_error(
      [](auto& c) {
        c.reviews = c.metadata = c.tokenizer = "";
        c.tokens = "t";
      },
      "tokens need vocab_size");
  expect_error(
      [](auto& c) {
        c.reviews = c.metadata = "";
        c.sequences = c.items = "s";
        c.split = "time";
      },
      "carry no time");
}

}  // namespace allreco::data
