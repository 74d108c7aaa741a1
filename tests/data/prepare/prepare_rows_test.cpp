// Whole prepare() runs on ready prompts and on token ids.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>
#include <set>
#include <tuple>

#include "data/prepare/prepare.h"
#include "data/prepare/text_files.h"
#include "data/store/dataset.h"
#include "data/store/dataset_samples.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::data {
using core::Json;

namespace {

const std::string kTokenizer = ALLRECO_SOURCE_DIR "/examples/stories260k/tokenizer.model";
const std::string kGolden = ALLRECO_SOURCE_DIR "/tests/fixtures/golden/stories-amazon";

/// An int64 tensor of a safetensors file, flat; shape goes to `shape`.
std::vector<std::int64_t> read_int64(const std::string& path, const std::string& name, std::vector<size_t>& shape) {
  const std::string bytes = core::read_file(path);
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), 8);
  const Json entry = Json::parse(bytes.substr(8, header_bytes))[name];
  shape = entry["shape"].get<std::vector<size_t>>();
  const size_t begin = entry["data_offsets"][0];
  const size_t end = entry["data_offsets"][1];
  std::vector<std::int64_t> values((end - begin) / 8);
  std::memcpy(values.data(), bytes.data() + 8 + header_bytes + begin, end - begin);
  return values;
}

/// Example i of a dataset as (ids, labels) in Hugging Face's convention.
std::pair<std::vector<std::int64_t>, std::vector<std::int64_t>> hugging_face_row(const Example& example) {
  std::vector<std::int64_t> ids(example.tokens.begin(), example.tokens.end());
  std::vector<std::int64_t> labels = ids;
  std::fill_n(labels.begin(), example.prompt_length, -100);
  return {ids, labels};
}

}  // namespace

class PrepareRowsTest : public ::testing::Test {
 protected:
  PrepareConfig prompts(const std::string& text, const std::string& name = "ds") const {
    PrepareConfig c;
    overwrite(input_.path() / (name + ".jsonl"), text);
    c.prompts = (input_.path() / (name + ".jsonl")).string();
    c.tokenizer = kTokenizer;
    c.prompt_template = "plain";
    c.output_dir = (scratch_.path() / name).string();
    return c;
  }
  PrepareConfig tokens(const std::string& text, const std::string& name = "ds") const {
    PrepareConfig c = prompts("", name);
    overwrite(input_.path() / (name + ".jsonl"), text);
    std::swap(c.tokens, c.prompts);
    c.tokenizer = "";
    c.vocab_size = 512;
    c.prompt_template = "";
    return c;
  }
  static std::int64_t size_of(const PrepareConfig& c, const std::string& split) {
    return has_split(read_dataset_info(c.output_dir), split) ? Dataset(c.output_dir, split).size() : 0;
  }
  static Json json_of(const PrepareConfig& c) { return read_dataset_info(c.output_dir).json; }

  support::TemporaryDirectory scratch_;
  support::TemporaryDirectory input_;
};

// The ids that transformers' trainer was fed with for the published study's prompts.
TEST_F(PrepareRowsTest, IdsOfRealPromptsEqualThePeers) {
  PrepareConfig c = prompts(core::read_file(kGolden + "/texts.jsonl"));
  c.max_length = 256;
  prepare(c, "");
  const Dataset train(c.output_dir, "train");
  const Dataset validation(c.output_dir, "validation");  // the file says eval
  ASSERT_EQ(train.size(), 64);
  ASSERT_EQ(validation.size(), 16);
  std::vector<size_t> shape;
  for (std::int64_t i = 0; i < 64; ++i) {
    const auto [ids, labels] = hugging_face_row(train.example(i));
    const std::string micro = fmt::format("micro{:03}", i / 8);
    for (const auto& [part, row] : {std::pair(".input_ids", ids), std::pair(".labels", labels)}) {
      const auto batch = read_int64(kGolden + "/batches.safetensors", micro + part, shape);
      ASSERT_EQ(shape.size(), 2u);
      const auto first = batch.begin() + (i % 8) * static_cast<std::int64_t>(shape[1]);
      EXPECT_EQ(row, std::vector<std::int64_t>(first, first + std::ssize(row))) << micro << part << " row " << i % 8;
    }
  }
  for (std::int64_t i = 0; i < 16; ++i) {
    const auto [ids, labels] = hugging_face_row(validation.example(i));
    EXPECT_EQ(ids, read_int64(kGolden + "/eval.safetensors", fmt::format("eval{:02}.input_ids", i), shape));
    EXPECT_EQ(labels, read_int64(kGolden + "/eval.safetensors", fmt::format("eval{:02}.labels", i), shape));
  }
}

TEST_F(PrepareRowsTest, PromptsWithoutSplitFieldsAreSplitAtRandomAndSaySo) {
  std::string text;
  for (int i = 0; i < 50; ++i) text += fmt::format("{{\"prompt\": \"number {}\", \"output\": \"{}\"}}\n", i, i);
  text += "{\"prompt\": null, \"output\": null}\n{\"prompt\": \"p\", \"output\": \"\"}\n";
  PrepareConfig c = prompts(text);
  const std::string summary = prepare(c, "");
  EXPECT_TRUE(contains(summary, "at random") && contains(summary, "empty_prompt 1, empty_output 1")) << summary;
  EXPECT_EQ(size_of(c, "train"), 40);
  EXPECT_EQ(size_of(c, "validation"), 5);
  EXPECT_EQ(size_of(c, "test"), 5);
  EXPECT_EQ(json_of(c)["split_method"]["method"], "random");
  EXPECT_EQ(json_of(c)["counts"]["dropped"]["empty_output"], 1);
  const Tokenizer tokenizer(kTokenizer);
  std::set<int> seen;
  for (const std::string split : {"train", "validation", "test"}) {
    const Dataset dataset(c.output_dir, split);
    int last = -1;
    for (std::int64_t i = 0; i < dataset.size(); ++i) {
      const Example e = dataset.example(i);
      const int n = std::stoi(tokenizer.decode({e.tokens.begin() + e.prompt_length, e.tokens.end()}));
      EXPECT_GT(n, last);  // within a split the file's order stays
      EXPECT_EQ(tokenizer.decode({e.tokens.begin(), e.tokens.begin() + e.prompt_length}), fmt::format("number {}", n));
      seen.insert(last = n);
    }
  }
  EXPECT_EQ(seen.size(), 50u);

  PrepareConfig all_train = prompts(text, "all");
  all_train.split = "rows";
  prepare(all_train, "");
  EXPECT_EQ(size_of(all_train, "train"), 50);
  EXPECT_EQ(json_of(all_train)["split_method"]["method"], "rows");
}

TEST_F(PrepareRowsTest, OptionsBecomeCandidates) {
  const std::string text =
      R"({"prompt": "Which? A) red B) blue", "output": "blue", "options": ["red", "blue"], "gold": 1, "split": "train"})"
      "\n"
      R"({"prompt": "Which? A) blue B) green C) red", "output": "blue", "options": ["blue", "green", "red"], "split": "train"})"
      "\n"
      R"({"prompt": "Say", "output": "hello", "split": "train"})"
      "\n"
      R"({"instruction": "Which?", "input": "A) red B) green", "output": "red", "options": ["red", "green"], "gold": "red", "split": "test"})"
      "\n"
      R"({"prompt": "x", "output": "y", "options": ["y", "y"], "split": "test"})"
      "\n";
  const PrepareConfig c = prompts(text);
  prepare(c, "");
  const std::vector<Item> items = read_catalogue(read_dataset_info(c.output_dir));
  const Tokenizer tokenizer(kTokenizer);
  ASSERT_EQ(items.size(), 3u);
  const std::vector<std::string> titles = {"red", "blue", "green"};
  const std::vector<std::int64_t> counts = {0, 2, 0};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(items[i].title, titles[i]);
    EXPECT_EQ(items[i].asin, "");
    EXPECT_EQ(items[i].train_count, counts[i]);
    EXPECT_EQ(items[i].tokens, tokenizer.encode(titles[i]));
  }
  const Dataset train(c.output_dir, "train");
  EXPECT_EQ(train.example(0).candidates, (std::vector<std::uint32_t>{0, 1}));
  EXPECT_EQ(train.example(0).gold, 1);
  EXPECT_EQ(train.example(0).target, 1u);
  EXPECT_EQ(train.example(1).candidates, (std::vector<std::uint32_t>{1, 2, 0}));
  EXPECT_EQ(train.example(1).gold, 0);
  EXPECT_TRUE(train.example(2).candidates.empty());
  EXPECT_FALSE(train.example(2).gold.has_value());
  const Dataset test(c.output_dir, "test");
  ASSERT_EQ(test.size(), 1);
  EXPECT_EQ(test.example(0).gold, 0);
  EXPECT_EQ(tokenizer.decode(test.example(0).tokens), "Which?\nA) red B) green red");
  EXPECT_EQ(json_of(c)["counts"]["dropped"]["duplicate_option"], 1);
}

// The first row's history holds an option's text, and a label.
TEST_F(PrepareRowsTest, OptionsAreReadFromPromptsThatShowThem) {
  PrepareConfig c = prompts(
      R"({"prompt": "Bought A) red, blue. Next?  A) blue, B) red", "output": "red", "split": "train", "note": 1})"
      "\n"
      R"({"prompt": "Bought milk. Next?  A) blue, B) red", "output": "green", "split": "train"})"
      "\n"
      R"({"prompt": "Next: <tea> or <milk>", "output": "tea", "split": "train"})"
      "\n");
  c.option_pattern = "labels";
  prepare(c, "");
  const Dataset dataset(c.output_dir, "train");
  const auto items = read_catalogue(read_dataset_info(c.output_dir));
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[1].title, "red");
  EXPECT_EQ(dataset.example(0).candidates, (std::vector<std::uint32_t>{0, 1}));
  EXPECT_EQ(dataset.example(0).gold, 1);
  EXPECT_TRUE(dataset.example(1).candidates.empty());
  EXPECT_EQ(json_of(c)["counts"]["options_found_in_prompt"], 1);
  EXPECT_EQ(json_of(c)["counts"]["options_looked_for_in_vain"], 2);
  EXPECT_EQ(json_of(c)["counts"]["unread_fields"], (Json{{"note", 1}}));

  PrepareConfig by_pattern = prompts(core::read_file(c.prompts), "by-pattern");
  by_pattern.option_pattern = "<(.*?)>";
  prepare(by_pattern, "");
  EXPECT_EQ(json_of(by_pattern)["counts"]["options_found_in_prompt"], 1);
  EXPECT_EQ(Dataset(by_pattern.output_dir, "train").example(2).gold, 0);
}

TEST_F(PrepareRowsTest, OptionsThatTheSourceIgnoresAreRefused) {
  const std::string row = "{\"prompt\": \"p\", \"output\": \"o\"}\n";
  const auto refusal = [&](const auto& change, bool of_tokens = false) {
    PrepareConfig c = of_tokens ? tokens(row) : prompts(row);
    change(c);
    return support::message_of([&] { validate(c); });
  };
  EXPECT_TRUE(contains(refusal([](auto& c) { c.min_history = 3; }), "min_history = 3 does nothing with prompts"));
  EXPECT_TRUE(contains(refusal([](auto& c) { c.verified_only = true; }), "verified_only = true does nothing"));
  EXPECT_TRUE(contains(refusal([](auto& c) { c.negatives = "popularity"; }), "can be matched"));
  EXPECT_TRUE(contains(refusal([](auto& c) { c.add_eos = false; }, true), "add_eos = false does nothing with tokens"));
  EXPECT_EQ(refusal([](auto& c) { c.negatives = "matched"; }), "");
}

TEST_F(PrepareRowsTest, TokensKeepTheirOrderAndAllTrain) {
  std::string text;
  for (int i = 0; i < 20; ++i) {
    text += i % 3 == 0
                ? fmt::format("{{\"input_ids\": [1, {0}, 7], \"labels\": [1, {0}, 7]}}\n", 100 + i)
                : fmt::format(
                      "{{\"input_ids\": [1, {0}, 7], \"labels\": [-100, -100, 7], \"attention_mask\": [1, 1, 1]}}\n",
                      100 + i);
  }
  PrepareConfig c = tokens(text);
  prepare(c, "");
  const Dataset train(c.output_dir, "train");
  ASSERT_EQ(train.size(), 20);
  for (std::int64_t i = 0; i < 20; ++i) {
    EXPECT_EQ(train.example(i).tokens, (std::vector<TokenId>{1, static_cast<TokenId>(100 + i), 7}));
    EXPECT_EQ(train.prompt_length(i), i % 3 == 0 ? 0 : 2);
    EXPECT_EQ(train.num_supervised(i), i % 3 == 0 ? 2 : 1);
  }
  EXPECT_EQ(size_of(c, "test"), 0);
  EXPECT_EQ(train.info().tokenizer_sha256, "");
  EXPECT_EQ(train.info().vocab_size, 512);
  EXPECT_EQ(train.info().bos_id, -1);
  EXPECT_TRUE(read_catalogue(train.info()).empty());

  PrepareConfig random = tokens(text, "random");
  random.split = "random";
  random.test_share = 0.2;
  prepare(random, "");
  EXPECT_EQ(size_of(random, "train"), 14);
  EXPECT_EQ(size_of(random, "validation"), 2);
  EXPECT_EQ(size_of(random, "test"), 4);
}

TEST_F(PrepareRowsTest, TokensWithSplitFieldsLimitsAndMalformedRows) {
  const std::string text = R"({"input_ids": [1, 2, 3], "labels": [-100, 2, 3], "split": "validation"})"
                           "\n"
                           R"({"input_ids": [1, 2, 3, 4, 5], "labels": [-100, 2, 3, 4, 5]})"
                           "\n"
                           R"({"input_ids": [1, 2, 512], "labels": [-100, 2, 512]})"
                           "\n"
                           R"({"input_ids": [1, 2, 3], "labels": [-100, 2, 3]})"
                           "\n";
  PrepareConfig c = tokens(text);
  c.max_length = 4;
  c.max_bad_line_share = 0.25;
  prepare(c, "");
  EXPECT_EQ(size_of(c, "train"), 1);
  EXPECT_EQ(size_of(c, "validation"), 1);
  const Json json = json_of(c);
  EXPECT_EQ(json["counts"]["dropped"], (Json{{"malformed_lines", 1}, {"too_long", 1}}));
  EXPECT_EQ(json["lines"][0]["first_malformed"][0]["line"], 3);
  PrepareConfig strict = tokens(text, "strict");
  const std::string message = support::message_of([&] { prepare(strict, ""); });
  EXPECT_TRUE(contains(message, "1 of 4 lines") && contains(message, "input_ids[2] = 512 is outside [0, 512)"))
      << message;
  EXPECT_FALSE(std::filesystem::exists(strict.output_dir));
}

TEST_F(PrepareRowsTest, BadInputIsNamedAndNothingIsLeft) {
  const auto error_of = [&](const PrepareConfig& c) {
    const std::string message = support::message_of([&] { prepare(c, ""); });
    EXPECT_EQ(scratch_.num_entries(), 0u);
    return message;
  };
  const std::string row = "{\"prompt\": \"a long prompt about many things\", \"output\": \"so\"}\n";
  EXPECT_TRUE(contains(error_of(prompts("")), "no example is left. Dropped: nothing"));
  EXPECT_TRUE(contains(error_of(prompts("{\"prompt\": null, \"output\": null}\n")), "empty_prompt 1"));
  EXPECT_TRUE(contains(error_of(prompts(row)), "too few for a random split"));
  EXPECT_TRUE(contains(error_of(prompts(row + "{\"prompt\"\n")), "1 of 2 lines are malformed"));
  PrepareConfig c = prompts(row);
  c.prompt_template = "amazon-next-itm";
  EXPECT_TRUE(contains(error_of(c), "not one of alpaca"));
  c = prompts(row);
  c.tokenizer = input_.path().string();
  EXPECT_TRUE(contains(error_of(c), "tokenizer.model"));
  c = prompts(row);
  c.vocab_size = 100;
  EXPECT_TRUE(contains(error_of(c), "has 512 pieces"));
  c = prompts(row);
  write_gz(input_.path() / "cut.jsonl.gz", noisy_lines(2000));
  const std::string bytes = core::read_file(input_.path() / "cut.jsonl.gz");
  overwrite(input_.path() / "cut.jsonl.gz", bytes.substr(0, bytes.size() - 100));
  c.prompts = (input_.path() / "cut.jsonl.gz").string();
  c.max_bad_line_share = 1;
  EXPECT_TRUE(contains(error_of(c), "ends early, in line "));
}

// The library's own ids (cases.jsonl): BOS as the post-processor adds it, prompt and output apart, EOS. The tokenizer
// is kept beside the shards, and a vocabulary above 65,536 makes them wide.
TEST_F(PrepareRowsTest, ATokenizerJsonGivesTheLibrarysIds) {
  const std::string fixture = ALLRECO_SOURCE_DIR "/tests/fixtures/tokenizer-json/llama3/";
  std::vector<Json> rows;
  std::ifstream lines(fixture + "cases.jsonl");
  for (std::string line; std::getline(lines, line) && rows.size() < 40;) {
    Json row = Json::parse(line);
    if (row.at("kind") == "titles" && !row.at("add_special_tokens")) rows.push_back(std::move(row));
  }
  ASSERT_GE(rows.size(), 4u);
  std::string text;
  for (size_t i = 0; i + 1 < rows.size(); ++i)
    text += Json{{"prompt", rows[i]["text"]}, {"output", rows[i + 1]["text"]}, {"split", "train"}}.dump() + "\n";
  PrepareConfig c = prompts(text);
  c.tokenizer = fixture + "tokenizer.json";
  c.vocab_size = 128256;
  prepare(c, "");
  const Dataset dataset(c.output_dir, "train", true);
  ASSERT_EQ(dataset.size(), std::ssize(rows) - 1);
  for (size_t i = 0; i + 1 < rows.size(); ++i) {
    std::vector<TokenId> expected = {1725};
    for (const size_t k : {i, i + 1}) {
      const auto ids = rows[k]["ids"].get<std::vector<TokenId>>();
      expected.insert(expected.end(), ids.begin(), ids.end());
    }
    expected.push_back(1726);
    EXPECT_EQ(dataset.example(static_cast<std::int64_t>(i)).tokens, expected);
  }
  EXPECT_EQ(core::sha256_of_file(c.output_dir + "/tokenizer.json"), dataset.info().tokenizer_sha256);
  EXPECT_EQ(core::read_file(c.output_dir + "/tokenizer.json"), core::read_file(fixture + "tokenizer.json"));
}

namespace {

/// Rows of 10 users with 10 different times each, shuffled in time over the users; row 7 u + t is of user u at time t.
std::string rows_of_users() {
  std::string text;
  for (int row = 0; row < 100; ++row) {
    const int user = row % 10, time = 1'500'000'000 + 86'400 * ((row * 37) % 100);
    text += fmt::format("{{\"prompt\":\"p {}\",\"output\":\"o\",\"user\":\"U{}\",\"timestamp\":{}}}\n", row, user,
                        row % 2 == 0 ? std::int64_t{time} : 1000 * std::int64_t{time});
  }
  return text;
}

}  // namespace

TEST_F(PrepareRowsTest, PromptsAreSplitByTime) {
  PrepareConfig c = prompts(rows_of_users());
  c.split = "time";
  prepare(c, "");
  const Json method = json_of(c)["split_method"];
  EXPECT_EQ(method["method"], "time");
  EXPECT_EQ(size_of(c, "train"), 80);
  std::set<std::uint64_t> users;
  for (const auto& [split, first, last] : {std::tuple{"train", 0, 79}, {"validation", 80, 89}, {"test", 90, 99}}) {
    const Dataset dataset(c.output_dir, split);
    ASSERT_EQ(dataset.size(), last - first + 1);
    for (std::int64_t i = 0; i < dataset.size(); ++i) {
      const std::int64_t day = (*dataset.example(i).timestamp - 1'500'000'000) / 86'400;
      EXPECT_TRUE(day >= first && day <= last) << day;
      users.insert(*dataset.example(i).user);
    }
  }
  EXPECT_EQ(users.size(), 10u);
  EXPECT_EQ(method["test_start"], 1'500'000'000 + 86'400 * 90);
}

TEST_F(PrepareRowsTest, TheLastRowOfEachUserIsLeftOut) {
  PrepareConfig c = prompts(rows_of_users());
  c.split = "leave_last_two_out";
  prepare(c, "");
  ASSERT_EQ(size_of(c, "test"), 10);
  ASSERT_EQ(size_of(c, "validation"), 10);
  std::map<std::uint64_t, std::vector<std::int64_t>> times;
  for (const char* split : {"train", "validation", "test"}) {
    const Dataset dataset(c.output_dir, split);
    std::map<std::uint64_t, std::int64_t> newest_before;
    for (const auto& [user, list] : times) newest_before[user] = list.back();
    for (std::int64_t i = 0; i < dataset.size(); ++i) {
      const Example example = dataset.example(i);
      if (newest_before.contains(*example.user)) {
        EXPECT_GT(*example.timestamp, newest_before[*example.user]);
      }
      times[*example.user].push_back(*example.timestamp);
    }
    for (auto& [user, list] : times) std::sort(list.begin(), list.end());
  }
  EXPECT_EQ(times.size(), 10u);
}

TEST_F(PrepareRowsTest, SplitsThatNeedTimesSaySo) {
  PrepareConfig c = prompts("{\"prompt\":\"p\",\"output\":\"o\"}\n{\"prompt\":\"q\",\"output\":\"o\"}\n");
  c.split = "time";
  EXPECT_TRUE(contains(support::message_of([&] { prepare(c, ""); }), "needs a timestamp in each row, and 2 of 2"));
  c.split = "leave_last_out";
  EXPECT_TRUE(contains(support::message_of([&] { prepare(c, ""); }), "needs a user in each row"));
}

// All examples of a split have a user, or none has: a row unlike the first is malformed.
TEST_F(PrepareRowsTest, RowsHaveUsersAndTimesAsTheFirstHas) {
  PrepareConfig c = prompts(
      "{\"prompt\":\"p\",\"output\":\"o\",\"user\":1}\n{\"prompt\":\"q\",\"output\":\"o\"}\n"
      "{\"prompt\":\"r\",\"output\":\"o\",\"user\":2,\"timestamp\":5}\n{\"prompt\":\"s\",\"output\":\"o\",\"user\":3}"
      "\n");
  c.split = "rows";
  c.max_bad_line_share = 0.5;
  prepare(c, "");
  EXPECT_EQ(size_of(c, "train"), 2);
  const Json bad = json_of(c)["lines"][0]["first_malformed"];
  ASSERT_EQ(bad.size(), 2u);
  EXPECT_TRUE(contains(bad[0]["reason"], "no user") && contains(bad[1]["reason"], "timestamp"));
}

}  // namespace allreco::data
