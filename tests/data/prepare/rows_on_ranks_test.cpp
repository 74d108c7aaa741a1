// Ready prompts and token ids on several ranks: the same bytes as on one; and splits by user and by given times.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <tuple>

#include "core/random.h"
#include "data/prepare/prepare_on.h"
#include "data/prepare/text_files.h"
#include "data/store/dataset.h"
#include "data/store/dataset_samples.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::data {
using core::Json;

namespace {

std::string title(core::RandomStream& stream) { return fmt::format("Tea &amp; {}", stream.next_below(300)); }

/// Rows of all fates, some of which show their options in their text alone.
std::string some_prompts(int count) {
  core::RandomStream stream(core::key_of("prompts"));
  std::string text;
  for (int i = 0; i < count; ++i) {
    std::vector<std::string> options{title(stream), title(stream), title(stream)};
    const std::string output = options[stream.next_below(3)];
    const std::string shown = fmt::format("A) {}, B) {}, C) {}.", options[0], options[1], options[2]);
    Json row = {{"instruction", "Bought " + title(stream) + ". Next?  " + shown},
                {"output", output},
                {"user", fmt::format("U{}", stream.next_below(200))},
                {"timestamp", 1'500'000'000 + 3600 * stream.next_below(5000)},
                {fmt::format("note{:02}", stream.next_below(30)), std::string(300, 'x')}};
    switch (stream.next_below(12)) {
      case 0:
        row["options"] = options;
        break;
      case 1:
        row["output"] = "";
        break;
      case 2:
        row.erase("user");  // unlike the first row
        break;
      case 3:
        row["instruction"] = std::string(3000, 'z') + row["instruction"].get<std::string>();
        break;
      default:
        break;
    }
    text += row.dump() + (i % 50 == 49 ? "\n\nnot JSON\n" : "\n");
  }
  return text;
}

std::string some_tokens(int count) {
  core::RandomStream stream(core::key_of("tokens"));
  std::string text;
  for (int i = 0; i < count; ++i) {
    std::vector<int> ids, labels;
    for (std::uint64_t k = 0, n = 2 + stream.next_below(60); k < n; ++k) {
      ids.push_back(static_cast<int>(stream.next_below(512)));
      labels.push_back(k + 1 < n ? -100 : ids.back());
    }
    text += Json{{"input_ids", ids}, {"labels", labels}}.dump() + (i % 99 == 98 ? "\n{}\n" : "\n");
  }
  return text;
}

}  // namespace

class RowsOnRanksTest : public ::testing::Test {
 protected:
  PrepareConfig prompts(const std::string& name) const {
    PrepareConfig config;
    config.prompts = file(name);
    config.tokenizer = ALLRECO_SOURCE_DIR "/examples/stories260k";
    config.prompt_template = "plain";
    config.max_bad_line_share = 0.2;
    config.examples_per_shard = 700;
    return config;
  }
  std::string file(const std::string& name) const { return (scratch_.path() / name).string(); }

  /// Of one rank and of several, with and without memory.
  void expect_the_same(PrepareConfig config, const std::string& what) {
    std::map<std::string, std::string> expected;
    for (const auto& [ranks, limit] : std::vector<std::pair<int, std::uint64_t>>{{1, 0}, {2, 0}, {5, 300'000}}) {
      config.output_dir = file(fmt::format("out{}", number_++));
      prepare_on(ranks, limit, config);
      const auto found = digests(config.output_dir);
      if (expected.empty()) expected = found;
      EXPECT_EQ(found, expected) << what << ", " << ranks << " ranks";
      EXPECT_GE(found.size(), 4u);
    }
    last_output_ = config.output_dir;
  }

  support::TemporaryDirectory scratch_;
  int number_ = 0;
  std::string last_output_;
};

TEST_F(RowsOnRanksTest, PromptsAreByteForByteTheSame) {
  const std::string text = some_prompts(3000);  // some parts of half a megabyte
  overwrite(file("p.jsonl"), text);
  write_gz(file("p.jsonl.gz"), text);
  const std::vector<std::pair<const char*, std::function<void(PrepareConfig&)>>> changes = {
      {"at random", [](PrepareConfig&) {}},
      {"time", [](PrepareConfig& c) { c.split = "time"; }},
      {"user", [](PrepareConfig& c) { c.split = "user", c.option_pattern = "labels"; }},
      {"leave two out", [](PrepareConfig& c) { c.split = "leave_last_two_out"; }},
      {"matched", [](PrepareConfig& c) { c.negatives = "matched", c.split_time = "1505000000,1510000000"; }}};
  for (const auto& [what, change] : changes) {
    PrepareConfig config = prompts("p.jsonl");
    change(config);
    expect_the_same(config, what);
  }
  const Json counts = read_dataset_info(last_output_).json["counts"];
  EXPECT_GT(counts["options_found_in_prompt"], 1000);
  EXPECT_GT(counts["dropped"]["malformed_lines"], 100);
  EXPECT_GT(counts["dropped"]["empty_output"], 100);
  EXPECT_GT(counts["examples_truncated"], 100);
  EXPECT_EQ(counts["unread_fields"].size(), 20u);  // the first of 30 in the alphabet
  EXPECT_TRUE(counts["unread_fields"].contains("note00") && !counts["unread_fields"].contains("note20"));
  expect_the_same(prompts("p.jsonl.gz"), "gzip");
}

TEST_F(RowsOnRanksTest, TokensAreByteForByteTheSame) {
  overwrite(file("t.jsonl"), some_tokens(8000));
  PrepareConfig config;
  config.tokens = file("t.jsonl");
  config.vocab_size = 512;
  config.max_length = 50;
  config.max_bad_line_share = 0.1;
  config.examples_per_shard = 900;
  expect_the_same(config, "all train");
  EXPECT_GT(read_dataset_info(last_output_).json["counts"]["dropped"]["too_long"], 100);
  config.split = "random";
  expect_the_same(config, "at random");
}

// Each user's rows in one split, and the shares those of a binomial draw: within five standard deviations.
TEST_F(RowsOnRanksTest, ByUserNoUserIsInTwo) {
  overwrite(file("p.jsonl"), some_prompts(1500));
  PrepareConfig config = prompts("p.jsonl");
  config.split = "user";
  config.validation_share = 0.2;
  config.test_share = 0.3;
  config.output_dir = file("ds");
  prepare_on(2, 0, config);
  std::map<std::uint64_t, std::string> splits;
  std::map<std::string, int> users;
  for (const std::string split : {"train", "validation", "test"}) {
    const Dataset dataset(config.output_dir, split);
    for (std::int64_t i = 0; i < dataset.size(); ++i) {
      const auto [place, is_new] = splits.try_emplace(*dataset.example(i).user, split);
      users[split] += is_new;
      EXPECT_EQ(place->second, split);
    }
  }
  const auto n = static_cast<double>(splits.size());
  for (const auto& [split, share] : {std::pair{"validation", 0.2}, {"test", 0.3}})
    EXPECT_NEAR(users[split], n * share, 5 * std::sqrt(n * share * (1 - share))) << split;
  EXPECT_EQ(read_dataset_info(config.output_dir).json["split_method"]["method"], "user");
}

TEST_F(RowsOnRanksTest, SplitTimePutsRowsWhereItSays) {
  overwrite(file("p.jsonl"), some_prompts(1500));
  PrepareConfig config = prompts("p.jsonl");
  config.split_time = "1506000000,1512000000";
  config.output_dir = file("ds");
  prepare_on(2, 0, config);
  for (const auto& [split, first, last] : {std::tuple{"train", 0L, 1'505'999'999L},
                                           {"validation", 1'506'000'000L, 1'511'999'999L},
                                           {"test", 1'512'000'000L, 2'000'000'000L}}) {
    const Dataset dataset(config.output_dir, split);
    EXPECT_GT(dataset.size(), 100);
    for (std::int64_t i = 0; i < dataset.size(); ++i) {
      const std::int64_t time = *dataset.example(i).timestamp;
      EXPECT_TRUE(time >= first && time <= last) << split << " " << time;
    }
  }
  EXPECT_EQ(read_dataset_info(config.output_dir).json["split_method"]["test_start"], 1'512'000'000);
}

TEST_F(RowsOnRanksTest, RowsWithoutWhatTheSplitNeedsAreNamed) {
  overwrite(file("p.jsonl"), "\n{\"prompt\":\"p\",\"output\":\"o\"}\n{\"prompt\":\"q\",\"output\":\"o\"}\n");
  const auto message_of = [&](const std::function<void(PrepareConfig&)>& change) {
    PrepareConfig config = prompts("p.jsonl");
    config.output_dir = file("ds");
    change(config);
    return support::message_of([&] { prepare_on(2, 0, config); });
  };
  const std::string time = message_of([](PrepareConfig& c) { c.split_time = "2017-01-01"; });
  EXPECT_TRUE(contains(time, "needs a timestamp in each row, and 2 of 2 have none") && contains(time, "p.jsonl line 2"))
      << time;
  EXPECT_TRUE(contains(message_of([](PrepareConfig& c) { c.split = "user"; }), "needs a user in each row"));
}

}  // namespace allreco::data
