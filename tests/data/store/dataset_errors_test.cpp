// What a damaged dataset says: the file, what was found, and what to do.
#include <gtest/gtest.h>

#include "data/store/dataset.h"
#include "data/store/dataset_samples.h"
#include "data/store/dataset_writer.h"
#include "data/store/hdf5_file.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

// HDF5 1.10 loses a few hundred bytes for each object header that it refuses to decode; the leak sanitizer asks here
// what to leave out.
extern "C" const char* __lsan_default_suppressions() { return "leak:libhdf5"; }

namespace allreco::data {
namespace fs = std::filesystem;
using core::Json;

class DamagedDataset : public ::testing::Test {
 protected:
  void SetUp() override {
    DatasetWriterOptions options = writer_options(directory_);
    options.examples_per_shard = 10;
    DatasetWriter writer(options);
    append_samples(writer, "train", 0, 20);
    writer.finish(sample_items(), Json::object());
  }

  /// Expects the UserError of opening `split` to hold all `parts`.
  void expect_error(const std::vector<std::string>& parts, bool verify = true,
                    const std::string& split = "train") const {
    const std::string message = support::message_of([&] { Dataset dataset(directory_, split, verify); });
    for (const std::string& part : parts) EXPECT_TRUE(contains(message, part)) << part << " is not in: " << message;
  }

  Json description() const { return core::read_json_file(directory_ / "dataset.json"); }
  void describe(const Json& json) const { core::write_json_file(directory_ / "dataset.json", json); }

  /// Makes dataset.json believe in the shard's present bytes, so that the checks behind size and checksum are reached.
  void trust_shard() const {
    Json json = description();
    Json& entry = json["splits"]["train"]["shards"][1];
    entry["bytes"] = fs::file_size(shard_);
    entry["sha256"] = core::sha256_of_file(shard_);
    describe(json);
  }

  struct Layout {
    std::vector<std::uint16_t> tokens{1, 2, 3, 4, 5, 6};
    std::vector<std::uint64_t> offsets{0, 2, 6};
    std::vector<std::uint32_t> prompts{1, 2};
    std::string tokenizer = kTokenizerSha;
    std::int64_t version = 1;
    std::int64_t vocab_size = kVocabulary;
    std::vector<std::uint32_t> targets{3, 999};
    std::vector<std::uint64_t> history_offsets{0, 0, 2};
    std::vector<std::uint32_t> history_items{5, 998};
    bool complete = true;
  };

  /// Puts a handmade second shard of 2 examples in place.
  void replace_shard(const Layout& layout) const {
    fs::remove(shard_);
    Hdf5Writer file(shard_);
    file.write_attribute("format", std::string("allreco-shard"));
    file.write_attribute("version", layout.version);
    file.write_attribute("tokenizer_sha256", layout.tokenizer);
    file.write_attribute("vocab_size", layout.vocab_size);
    file.write_array("tokens", layout.tokens, {layout.tokens.size()});
    file.write_array("example_offsets", layout.offsets, {layout.offsets.size()});
    file.write_array("prompt_lengths", layout.prompts, {layout.prompts.size()});
    file.write_array("targets", layout.targets, {layout.targets.size()});
    if (!layout.history_offsets.empty())
      file.write_array("history_offsets", layout.history_offsets, {layout.history_offsets.size()});
    file.write_array("history_items", layout.history_items, {layout.history_items.size()});
    if (layout.complete) file.write_attribute("complete", std::int64_t{1});
    file.close();
    trust_shard();
    Json json = description();
    json["splits"]["train"]["shards"][1]["examples"] = 2;
    json["splits"]["train"]["shards"][1]["tokens"] = 6;
    describe(json);
  }

  support::TemporaryDirectory scratch_;
  fs::path directory_ = scratch_.path() / "DS";
  std::string name_ = "train-00001-of-00002.h5";
  fs::path shard_ = directory_ / name_;
};

TEST_F(DamagedDataset, HasNoDescription) {
  fs::remove(directory_ / "dataset.json");
  expect_error({directory_.string(), "has no dataset.json", "allreco prepare"});
  const std::string none = (scratch_.path() / "nowhere").string();
  EXPECT_TRUE(contains(support::message_of([&] { read_dataset_info(none); }), none));
}

TEST_F(DamagedDataset, HasAnotherDescription) {
  Json json = description();
  json["format_version"] = 2;
  describe(json);
  expect_error({"dataset.json", "format version 2", "reads version 1"});
  json["format"] = "something";
  describe(json);
  expect_error({"dataset.json", "not the description of a dataset"});
  describe(Json::array());
  expect_error({"dataset.json", "not the description of a dataset"});
  overwrite(directory_ / "dataset.json", "{\"format\": ");
  expect_error({"dataset.json"});
}

TEST_F(DamagedDataset, LacksKeysOrSplits) {
  expect_error({"no split \"validation\"", "it has: train"}, true, "validation");
  for (const std::string key : {"vocab_size", "splits", "tokenizer_sha256", "max_length", "bos_id"}) {
    const Json whole = description();
    Json json = whole;
    json.erase(key);
    describe(json);
    expect_error({"dataset.json", "\"" + key + "\""});
    describe(whole);
  }
  Json json = description();
  json["splits"]["train"]["shards"][0].erase("sha256");
  describe(json);
  expect_error({"dataset.json", "\"sha256\""});
}

// It is what the length of a context and the size of a batch are held against.
TEST_F(DamagedDataset, HasExamplesLongerThanItSays) {
  Json json = description();
  const auto longest = json["max_length"].get<std::int64_t>();
  json["max_length"] = longest - 1;
  describe(json);
  expect_error({fmt::format("{} tokens, but dataset.json says that none has more than {}", longest, longest - 1)});
  json["max_length"] = (std::int64_t{1} << 31) + 1;
  describe(json);
  expect_error({"dataset.json", "\"max_length\""});
}

TEST_F(DamagedDataset, HasASplitThatThereIsNot) {
  Json json = description();
  json["splits"]["tr\nain"] = json["splits"]["train"];
  describe(json);
  expect_error({"dataset.json has a split \"tr\\nain\"", "train, validation and test"});
}

TEST_F(DamagedDataset, NamesFilesElsewhere) {
  fs::copy(shard_, scratch_.path() / "other.h5");
  for (const std::string name : {"../other.h5", "/etc/passwd", "..", "", "a/b.h5"}) {
    const Json whole = description();
    Json json = whole;
    json["splits"]["train"]["shards"][1]["file"] = name;
    describe(json);
    expect_error({"dataset.json names the file \"" + name + "\"", "in the same directory"});
    json = whole;
    json["catalogue"]["file"] = name;
    describe(json);
    const std::string message = support::message_of([&] { read_catalogue(read_dataset_info(directory_)); });
    EXPECT_TRUE(contains(message, "in the same directory")) << message;
    describe(whole);
  }
}

TEST_F(DamagedDataset, HasNumbersOutOfRange) {
  const Json whole = description();
  for (const auto& [key, value] :
       std::vector<std::pair<std::string, std::string>>{{"vocab_size", "-1"},
                                                        {"vocab_size", "2147483649"},
                                                        {"vocab_size", "18446744073709551615"},
                                                        {"vocab_size", "512.0"},
                                                        {"bos_id", "4294967297"},
                                                        {"max_length", "-1"}}) {
    Json json = whole;
    json[key] = Json::parse(value);
    describe(json);
    expect_error({"dataset.json", "\"" + key + "\"", value});
  }
  for (const std::string key : {"examples", "tokens", "bytes"}) {
    for (const char* value : {"-1", "18446744073709551615", "9223372036854775807", "1e300"}) {
      Json json = whole;
      json["splits"]["train"]["shards"][0][key] = Json::parse(value);
      describe(json);
      expect_error({"dataset.json", "\"" + key + "\""});
    }
  }
  Json json = whole;
  json["catalogue"]["items"] = 4294967296;
  describe(json);
  expect_error({"dataset.json", "\"items\""});
}

TEST_F(DamagedDataset, HasACatalogueWithIdsThatWouldWrap) {
  const fs::path file = directory_ / "items.jsonl";
  const std::string whole = core::read_file(file);
  const auto message_with = [&](const std::string& first_line) {
    overwrite(file, first_line + whole.substr(whole.find('\n')));
    Json json = description();
    json["catalogue"]["sha256"] = core::sha256_of_file(file);
    describe(json);
    return support::message_of([&] { read_catalogue(read_dataset_info(directory_)); });
  };
  const auto line = [](const std::string& id, const std::string& token) {
    return R"({"id":)" + id + R"(,"asin":"","title":"t","train_count":0,"tokens":[)" + token + "]}";
  };
  EXPECT_EQ(message_with(line("0", "1")), "") << "a good line";
  EXPECT_TRUE(contains(message_with(line("4294967296", "1")), "\"id\" (4294967296)"));
  EXPECT_TRUE(contains(message_with(line("0", "4294967297")), "4294967297, which is no token id"));
  const std::string vocab_size = description()["vocab_size"].dump();
  EXPECT_TRUE(contains(message_with(line("0", vocab_size)), vocab_size + ", which is no token id"))
      << "the first beyond";
  EXPECT_TRUE(contains(message_with(line("0", "-1")), "-1, which is no token id"));
  EXPECT_TRUE(contains(message_with(std::string(1 << 20, '[')), "items.jsonl"));
}

TEST_F(DamagedDataset, LacksAShard) {
  fs::remove(shard_);
  expect_error({name_, "is missing", "Prepare the dataset again"});
}

TEST_F(DamagedDataset, HasAShardCutShort) {
  const std::string whole = core::read_file(shard_);
  for (const size_t size : {whole.size() - 1, whole.size() / 2, size_t{0}}) {
    overwrite(shard_, whole.substr(0, size));
    expect_error({name_, "cut short"}, false);
    trust_shard();  // then HDF5 itself refuses
    expect_error({name_, "Prepare the dataset again"}, false);
    overwrite(shard_, whole);
    trust_shard();
    Dataset(directory_, "train");
  }
}

TEST_F(DamagedDataset, HasAFlippedByteAnywhere) {
  const std::string whole = core::read_file(shard_);
  for (size_t place = 0; place < whole.size(); place += 97) {
    std::string flipped = whole;
    flipped[place] = static_cast<char>(flipped[place] ^ 0x10);
    overwrite(shard_, flipped);
    expect_error({name_, "bytes have changed", "sha256"});
  }
}

// Even when nobody checks sums, damage gives an error or other values, never a crash. (The sanitizer build makes this a
// sharp test.)
TEST_F(DamagedDataset, NeverCrashesTheReader) {
  const std::string whole = core::read_file(shard_);
  for (size_t place = 0; place < whole.size(); place += 23) {
    for (const int bits : {0x01, 0x80, 0xFF}) {
      std::string flipped = whole;
      flipped[place] = static_cast<char>(flipped[place] ^ bits);
      overwrite(shard_, flipped);
      std::ignore = support::message_of([&] {
        const Dataset dataset(directory_, "train", false);
        for (std::int64_t i = 10; i < dataset.size(); ++i) EXPECT_LE(dataset.example(i).tokens.size(), 800u);
      });
    }
  }
}

TEST_F(DamagedDataset, HasAShardThatDoesNotBelong) {
  replace_shard({});
  EXPECT_EQ(Dataset(directory_, "train").size(), 12);  // the handmade shard is a good one
  replace_shard({.complete = false});
  expect_error({name_, "not complete"});
  replace_shard({.tokenizer = std::string(64, 'b')});
  expect_error({name_, "made with tokenizer bbbb", "says aaaa"});
  replace_shard({.version = 3});
  expect_error({name_, "format version 3"});
  replace_shard({.vocab_size = 511});
  expect_error({name_, "vocabulary size 511"});
}

TEST_F(DamagedDataset, HasImpossibleOffsets) {
  replace_shard({.offsets = {0, 7, 6}});
  expect_error({name_, "/example_offsets", "do not rise at example 1"});
  replace_shard({.offsets = {0, 0, 6}});
  expect_error({name_, "do not rise at example 0"});
  replace_shard({.offsets = {1, 2, 6}});
  expect_error({name_, "run from 1 to 6"});
  replace_shard({.offsets = {0, 2, 5}});
  expect_error({name_, "run from 0 to 5"});
  replace_shard({.offsets = {0, 6}});
  expect_error({name_, "does not hold the 2 examples"});
  replace_shard({.prompts = {3, 2}});
  expect_error({name_, "/prompt_lengths", "example 0"});
}

TEST_F(DamagedDataset, HasImpossibleHistories) {
  for (const std::vector<std::uint64_t>& offsets :
       {std::vector<std::uint64_t>{0, 3, 2}, {1, 1, 2}, {0, 1, 1}, {0, 0, 3}}) {
    replace_shard({.history_offsets = offsets});
    expect_error({name_, "/history_offsets", "do not rise from 0 to the 2 items"});
  }
  replace_shard({.history_offsets = {0, 2}});
  expect_error({name_, "/history_offsets", "one row an example"});
  replace_shard({.history_offsets = {}});
  expect_error({name_, "history_offsets"});
}

TEST_F(DamagedDataset, HasIdsOutsideTheVocabulary) {
  replace_shard({.tokens = {1, 2, 3, 512, 5, 6}});
  const Dataset dataset(directory_, "train");
  EXPECT_EQ(dataset.example(10).tokens, (std::vector<TokenId>{1, 2}));
  const std::string message = support::message_of([&] { dataset.example(11); });
  EXPECT_TRUE(contains(message, "id 512") && contains(message, name_) && contains(message, "vocabulary of 512"))
      << message;
}

TEST_F(DamagedDataset, NamesItemsOutsideTheCatalogue) {
  replace_shard({.targets = {0, 1000}});
  const Dataset dataset(directory_, "train");
  EXPECT_EQ(dataset.example(10).target, 0u);
  const std::string message = support::message_of([&] { dataset.example(11); });
  EXPECT_TRUE(contains(message, "item 1000") && contains(message, name_)) << message;
  replace_shard({.history_items = {5, 1000}});
  const Dataset histories(directory_, "train");
  EXPECT_TRUE(histories.example(10).history.empty());
  EXPECT_TRUE(contains(support::message_of([&] { histories.example(11); }), "item 1000"));
  replace_shard({.targets = {0}});
  expect_error({name_, "/targets", "one row an example"});
}

TEST_F(DamagedDataset, IsCutWhileInUse) {
  const Dataset dataset(directory_, "train");
  fs::resize_file(shard_, 100);
  EXPECT_TRUE(contains(support::message_of([&] { dataset.example(19); }), "cut while in use"));
}

}  // namespace allreco::data
