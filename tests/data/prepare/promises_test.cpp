// What every example promises (docs/prepare.md), held for every example of every shipped configuration: both Amazon
// categories and made-up shops with hostile titles, ties and repeated reviews. An example's tokens are those of its
// template, filled in by hand with the longest history that fits; so the answer and all options are whole, only answer
// and end are supervised, and the history is in the order of purchase and ends before the target.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "core/files.h"
#include "data/prepare/made_up_shop.h"
#include "data/prepare/naive_history.h"
#include "data/prepare/naive_prompt.h"
#include "data/prepare/prepare.h"
#include "data/prepare/shipped_options.h"
#include "data/prepare/text_files.h"
#include "data/store/dataset.h"
#include "support/temporary_directory.h"

namespace allreco::data {
using core::Json;

namespace {

const std::string kRoot = ALLRECO_SOURCE_DIR;
const std::string kJsonTokenizers = kRoot + "/tests/fixtures/tokenizer-json/";

/// A configuration as shipped: a template with a tokenizer that it fits, and options.
struct Shipped {
  std::string prompt_template;
  std::string tokenizer;
  std::map<std::string, std::string> options = {};
  std::string file = "";  // of configs/, whose options come first
};

void PrintTo(const Shipped& shipped, std::ostream* out) { *out << shipped.prompt_template << " " << shipped.tokenizer; }

/// llama2-legacy's tokenizer with the control tokens of Mistral 7B v0.3.
void write_mistral_tokenizer(const std::filesystem::path& path) {
  Json json = Json::parse(core::read_file(kJsonTokenizers + "llama2-legacy/tokenizer.json"));
  Json token = json["added_tokens"][2];  // </s>
  token["id"] = 1768;
  for (const char* text : {"[INST]", "[/INST]"}) {
    token["content"] = text;
    json["added_tokens"].push_back(token);
    token["id"] = 1769;
  }
  core::write_file_atomically(path, json.dump());
}

/// What no shipped template uses: several phrasings, details of items, a label as the answer.
void write_everything_template(const std::filesystem::path& path) {
  Json json = Json::parse(core::read_file(kRoot + "/configs/templates/amazon-next-item.json"));
  json["instruction"] = {"Which of {options} comes after {history}?", "After {history}: one of {options}.",
                         "{history}. {options}?"};
  json["history_item"] = "{title} by {brand} ({category})";
  json["option_item"] = "{label}: {title} in {category}";
  json["answer"] = "label";
  core::write_file_atomically(path, json.dump());
}

}  // namespace

/// Checks a prepared directory against the files that it came from.
class Promises {
 public:
  explicit Promises(const PrepareConfig& config)
      : config_(config),
        info_(read_dataset_info(config.output_dir)),
        template_(info_.json["template"]),
        tokenizer_(config.tokenizer),
        items_(read_catalogue(info_)) {
    std::map<std::string, std::string> titles;
    for (const Item& item : items_) titles[item.asin] = item.title;
    purchases_ = naive_purchases(naive_reviews(config.reviews), titles, 0, false);
    for (const auto& [reviewer, bought] : purchases_) {
      for (const auto& [time, asin] : bought) bought_[reviewer].insert(titles.at(asin));
    }
  }

  void check_all() {
    const std::int64_t min_history = config_.min_history == 0 ? 4 : config_.min_history;
    std::map<std::string, std::vector<NaiveExample>> expected;
    for (NaiveExample& example : naive_examples(purchases_, min_history)) {
      expected[split_at(example.time)].push_back(std::move(example));
    }
    std::int64_t num_left_out = 0;
    for (const std::string split : {"train", "validation", "test"}) {
      if (!has_split(info_, split)) {
        num_left_out += std::ssize(expected[split]);
        continue;
      }
      const Dataset dataset(config_.output_dir, split);
      auto next = expected[split].begin();
      for (std::int64_t i = 0; i < dataset.size(); ++i, ++next) {
        const Example found = dataset.example(i);
        const auto is_found = [&](const NaiveExample& e) {
          return core::key_of(e.reviewer) == found.user && e.time == found.timestamp &&
                 items_.at(found.target.value()).asin == e.target;
        };
        const auto place = std::find_if(next, expected[split].end(), is_found);
        ASSERT_NE(place, expected[split].end()) << split << " " << i << " is no purchase, or is out of order";
        num_left_out += place - next;
        next = place;
        SCOPED_TRACE(fmt::format("{} {} of {}", split, i, config_.output_dir));
        check(found, *place);
        if (::testing::Test::HasFailure()) return;  // one example is enough to read
      }
      num_left_out += expected[split].end() - next;
    }
    EXPECT_GT(num_examples_, 0);
    const Json& dropped = info_.json["counts"]["dropped"]["examples"];
    EXPECT_EQ(num_left_out, dropped.value("too_long", 0) + dropped.value("too_few_negatives", 0)) << dropped;
  }

  std::int64_t num_examples() const { return num_examples_; }
  std::int64_t num_shortened() const { return num_shortened_; }

 private:
  std::string split_at(std::int64_t time) const {
    const Json& method = info_.json["split_method"];
    const auto is_from = [&](const char* key) {
      return method.contains(key) && time >= method[key].get<std::int64_t>();
    };
    return is_from("test_start") ? "test" : is_from("validation_start") ? "validation" : "train";
  }

  void check(const Example& found, const NaiveExample& expected) {
    ++num_examples_;
    // No future: what was bought before, in its order, the newest at the end.
    const auto newest = std::min<std::ptrdiff_t>(std::ssize(expected.earlier), config_.max_history);
    const std::vector<std::string> history(expected.earlier.end() - newest, expected.earlier.end());
    std::vector<std::string> found_history;
    for (const std::uint32_t item : found.history) found_history.push_back(items_.at(item).asin);
    ASSERT_EQ(found_history, history);
    check_options(found, expected);
    check_supervised(found);
    check_prompt(found);
  }

  void check_options(const Example& found, const NaiveExample& expected) const {
    ASSERT_EQ(std::ssize(found.candidates), config_.num_candidates);
    std::set<std::string> titles;
    for (size_t k = 0; k < found.candidates.size(); ++k) {
      const Item& item = items_.at(found.candidates[k]);
      EXPECT_TRUE(titles.insert(item.title).second) << "two options say " << item.title;
      EXPECT_EQ(bought_.at(expected.reviewer).contains(item.title), k == found.gold) << item.title;
    }
    if (!found.candidates.empty()) {
      EXPECT_EQ(found.candidates.at(found.gold.value()), found.target);
    }
  }

  /// From the prompt's end on: the answer whole, and the end.
  void check_supervised(const Example& found) const {
    const bool is_label = template_.value("answer", "title") == "label";
    const std::string text =
        is_label ? std::string(1, static_cast<char>('A' + found.gold.value())) : items_.at(found.target.value()).title;
    const std::string output = naive_fill(template_["output"], {{"output", text}});
    const std::string end = template_.value("answer_end", "");
    const bool is_chat = !template_.value("control_tokens", std::vector<std::string>{}).empty();
    std::vector<TokenId> answer = is_chat ? tokenizer_.encode_continued(output) : tokenizer_.encode(output);
    if (!is_label) {
      EXPECT_EQ(answer, items_.at(found.target.value()).tokens);
    }
    answer.push_back(end.empty() ? tokenizer_.eos_id() : tokenizer_.control_token(end).value());
    ASSERT_EQ(std::vector<TokenId>(found.tokens.begin() + found.prompt_length, found.tokens.end()), answer);
    ASSERT_LE(std::ssize(found.tokens), max_length());
  }

  std::int64_t max_length() const { return config_.max_length == 0 ? 512 : config_.max_length; }

  /// The frame, the options and the longest end of the history with which everything fits.
  void check_prompt(const Example& found) {
    const std::vector<TokenId> prompt(found.tokens.begin(), found.tokens.begin() + found.prompt_length);
    const auto longest = max_length() - (std::ssize(found.tokens) - found.prompt_length);
    const size_t num_phrasings = template_["instruction"].is_array() ? template_["instruction"].size() : 1;
    bool is_any = false;
    for (size_t phrasing = 0; phrasing < num_phrasings && !is_any; ++phrasing) {
      for (size_t num_shown = found.history.size(); num_shown > 0; --num_shown) {
        const std::vector<TokenId> ids = prompt_ids(found, num_shown, phrasing);
        if (std::ssize(ids) > longest) continue;
        is_any = ids == prompt;
        if (is_any && num_shown < found.history.size()) ++num_shortened_;
        break;
      }
    }
    EXPECT_TRUE(is_any) << tokenizer_.decode(prompt);
  }

  std::vector<TokenId> prompt_ids(const Example& found, size_t num_shown, size_t phrasing) const {
    const std::vector<std::uint32_t> shown(found.history.end() - static_cast<std::ptrdiff_t>(num_shown),
                                           found.history.end());
    const NaivePrompt prompt = naive_prompt(template_, values_of(shown), values_of(found.candidates), phrasing);
    return naive_prompt_ids(template_, prompt, tokenizer_, true);
  }

  std::vector<NaiveValues> values_of(const std::vector<std::uint32_t>& items) const {
    std::vector<NaiveValues> values;
    for (const std::uint32_t id : items) {
      const Item& item = items_.at(id);
      const auto known = [](const std::string& text) { return text.empty() ? "unknown" : text; };
      values.push_back({{"title", item.title}, {"brand", known(item.brand)}, {"category", known(item.category)}});
    }
    return values;
  }

  PrepareConfig config_;
  DatasetInfo info_;
  Json template_;
  Tokenizer tokenizer_;
  std::vector<Item> items_;
  NaivePurchases purchases_;
  std::map<std::string, std::set<std::string>> bought_;  // titles, by reviewer
  std::int64_t num_examples_ = 0, num_shortened_ = 0;
};

class PreparePromises : public ::testing::TestWithParam<Shipped> {
 protected:
  PrepareConfig config_for(const std::string& reviews, const std::string& metadata) {
    PrepareConfig config;
    config.reviews = reviews;
    config.metadata = metadata;
    config.output_dir = (scratch_ / fmt::format("ds{}", num_made_++)).string();
    config.tokenizer = GetParam().tokenizer;
    if (config.tokenizer == "mistral") {
      config.tokenizer = (scratch_ / "tokenizer.json").string();
      write_mistral_tokenizer(config.tokenizer);
    }
    config.prompt_template = GetParam().prompt_template;
    if (config.prompt_template == "everything") {
      config.prompt_template = (scratch_ / "everything.json").string();
      write_everything_template(config.prompt_template);
    }
    if (!GetParam().file.empty()) set_shipped_options(config, GetParam().file);
    for (const auto& [key, value] : GetParam().options) set_option(config, key, value);
    return config;
  }
  static Promises checked(const PrepareConfig& config) {
    prepare(config, "");
    Promises promises(config);
    promises.check_all();
    return promises;
  }

  support::TemporaryDirectory scratch_;
  int num_made_ = 0;
};

TEST_P(PreparePromises, OfGiftCards) {
  const std::string files = kRoot + "/examples/gift-cards/";
  EXPECT_EQ(checked(config_for(files + "reviews.json.gz", files + "metadata.json.gz")).num_examples(), 1133);
}

TEST_P(PreparePromises, OfMagazineSubscriptions) {
  const std::string files = kRoot + "/tests/fixtures/magazine-subscriptions/";
  PrepareConfig config = config_for(files + "reviews.json.gz", files + "metadata.json.gz");
  config.untitled_items = "describe";
  checked(config);
}

TEST_P(PreparePromises, OfMadeUpShops) {
  std::int64_t num_shortened = 0;
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    MadeUpShop(seed).write(scratch_.path());
    PrepareConfig config = config_for((scratch_ / "reviews.json").string(), (scratch_ / "items.json").string());
    config.seed = seed;
    config.min_history = 1 + static_cast<std::int64_t>(seed % 4);
    config.max_length = 4096;
    checked(config);
    config.max_length = read_dataset_info(config.output_dir).max_length * 2 / 3;
    config.output_dir += "-cut";
    num_shortened += checked(config).num_shortened();
    if (HasFailure()) return;
  }
  EXPECT_GT(num_shortened, 0);
}

namespace {

std::vector<Shipped> all_shipped() {
  const std::string example = kRoot + "/examples/stories260k";
  return {{"amazon-next-item", example},
          {"amazon-next-item-open", example, {{"num_candidates", "0"}}},
          {"amazon-next-item-open", example, {{"num_candidates", "20"}}},
          {"study", kRoot + "/tests/fixtures/tokenizer/llama2-tokenizer.model", {{"max_history", "4"}}},
          {"study", kJsonTokenizers + "llama2-metaspace", {{"max_history", "4"}}, "study-repaired.cfg"},
          {"chatml", kJsonTokenizers + "qwen2"},
          {"chatml", kJsonTokenizers + "smollm2"},
          {"llama3", kJsonTokenizers + "llama3"},
          {"gemma", kJsonTokenizers + "gemma3"},
          {"mistral", "mistral"},
          {"mistral-nemo", kJsonTokenizers + "tekken"},
          {"everything", kJsonTokenizers + "llama3"}};
}

INSTANTIATE_TEST_SUITE_P(Shipped, PreparePromises, ::testing::ValuesIn(all_shipped()));

}  // namespace

}  // namespace allreco::data
