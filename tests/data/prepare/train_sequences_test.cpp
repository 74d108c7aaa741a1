// train_sequences.jsonl: what each shopper bought in the train part, counted from the input itself.
#include <gtest/gtest.h>

#include <algorithm>

#include "data/prepare/prepare_on.h"
#include "data/store/dataset.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::data {
namespace fs = std::filesystem;

namespace {

using Named = std::vector<std::vector<std::string>>;

class TrainSequences : public ::testing::Test {
 protected:
  /// Four users: one with a single purchase, one with two, one with a repeat, one with more than max_history.
  void SetUp() override {
    core::write_file_atomically(scratch_ / "items.txt",
                                "a Green Tea\nb Oat Bars\nc Cotton Towel\nd Pot\ne Red Mug\nf Lamp\n");
    core::write_file_atomically(scratch_ / "sequences.txt", "U1 c\nU2 a b\nU3 d a d e\nU4 f e d c b a\n");
  }

  fs::path prepare(const std::string& split, int ranks) {
    PrepareConfig config;
    config.sequences = (scratch_ / "sequences.txt").string();
    config.items = (scratch_ / "items.txt").string();
    config.tokenizer = ALLRECO_SOURCE_DIR "/examples/stories260k";
    config.output_dir = (scratch_ / fmt::format("{}-{}", split, ranks)).string();
    config.prompt_template = "amazon-next-item-open";
    config.num_candidates = 0;
    config.max_history = 2;
    config.split = split;
    prepare_on(ranks, 0, config);
    return config.output_dir;
  }

  static Named listed(const fs::path& directory) {
    const DatasetInfo info = read_dataset_info(directory);
    const auto catalogue = read_catalogue(info);
    const auto sequences = read_listed_train_sequences(info);
    Named named;
    for (const auto& sequence : sequences.value()) {
      named.emplace_back();
      for (const std::uint32_t item : sequence) named.back().push_back(catalogue.at(item).asin);
    }
    std::sort(named.begin(), named.end());
    return named;
  }

  const support::TemporaryDirectory scratch_;
};

TEST_F(TrainSequences, AreAllButWhatIsLeftOut) {
  const Named but_last = {{"a"}, {"d", "a", "d"}, {"f", "e", "d", "c", "b"}};
  const Named but_two = {{"d", "a"}, {"f", "e", "d", "c"}};
  for (const int ranks : {1, 2, 3}) {
    EXPECT_EQ(listed(prepare("leave_last_out", ranks)), but_last) << ranks;
    EXPECT_EQ(listed(prepare("leave_last_two_out", ranks)), but_two) << ranks;
  }
}

TEST_F(TrainSequences, ASplitOfSingleExamplesHasNone) {
  EXPECT_EQ(read_listed_train_sequences(read_dataset_info(prepare("random", 1))), std::nullopt);
}

TEST_F(TrainSequences, DamageIsNamed) {
  const fs::path directory = prepare("leave_last_out", 1);
  const auto message_with = [&](const std::string& lines, bool trusted) {
    core::write_file_atomically(directory / "train_sequences.jsonl", lines);
    core::Json json = core::read_json_file(directory / "dataset.json");
    if (trusted) json["train_sequences"]["sha256"] = core::sha256_of_file(directory / "train_sequences.jsonl");
    core::write_json_file(directory / "dataset.json", json);
    return support::message_of([&] { read_listed_train_sequences(read_dataset_info(directory)); });
  };
  const auto expect_part = [](const std::string& message, const std::string& part) {
    EXPECT_NE(message.find(part), std::string::npos) << part << " is not in: " << message;
  };
  expect_part(message_with("[0]\n", false), "its bytes have changed");
  expect_part(message_with("[0]\n[1]\n", true), "holds 2 sequences");
  expect_part(message_with("[0]\n[1,6]\n[2]\n", true), "line 2: expected ids of the 6 items");
  expect_part(message_with("[0]\n[-1]\n[2]\n", true), "line 2: expected ids of the 6 items");
  expect_part(message_with("[0]\n{}\n[2]\n", true), "line 2: expected an array of item ids");
}

}  // namespace
}  // namespace allreco::data
