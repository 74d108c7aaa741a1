// Writing and reading datasets. The oracle of the file format is HDF5's own H5Dread, as an outside program would use
// it.
#include "data/store/dataset.h"

#include <gtest/gtest.h>
#include <hdf5.h>

#include <algorithm>

#include "data/store/dataset_samples.h"
#include "data/store/dataset_writer.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::data {
namespace fs = std::filesystem;
using core::Json;

void expect_equal(const Example& found, const Example& expected, std::int64_t i) {
  EXPECT_EQ(found.tokens, expected.tokens) << "example " << i;
  EXPECT_EQ(found.prompt_length, expected.prompt_length) << "example " << i;
  EXPECT_EQ(found.user, expected.user) << "example " << i;
  EXPECT_EQ(found.timestamp, expected.timestamp) << "example " << i;
  EXPECT_EQ(found.target, expected.target) << "example " << i;
  EXPECT_EQ(found.last_item, expected.last_item) << "example " << i;
  EXPECT_EQ(found.history, expected.history) << "example " << i;
  EXPECT_EQ(found.candidates, expected.candidates) << "example " << i;
  EXPECT_EQ(found.gold, expected.gold) << "example " << i;
}

/// All values of an array, converted by HDF5.
template <class T>
std::vector<T> read_array(hid_t file, const char* name, hid_t memory_type) {
  const hid_t array = H5Dopen2(file, name, H5P_DEFAULT);
  const hid_t space = H5Dget_space(array);
  std::vector<T> values(static_cast<size_t>(H5Sget_simple_extent_npoints(space)));
  EXPECT_GE(H5Dread(array, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), 0) << name;
  H5Sclose(space);
  H5Dclose(array);
  return values;
}

std::int64_t read_attribute(hid_t file, const char* name) {
  std::int64_t value = -1;
  const hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
  EXPECT_GE(H5Aread(attribute, H5T_NATIVE_INT64, &value), 0) << name;
  H5Aclose(attribute);
  return value;
}

TEST(Dataset, GivesBackWhatWasWrittenOverManyShards) {
  const support::TemporaryDirectory scratch;
  const fs::path directory = scratch.path() / "a/new/parent/DS";
  DatasetWriterOptions options = writer_options(directory);
  options.examples_per_shard = 7;
  DatasetWriter writer(options);
  append_samples(writer, "train", 0, 30);
  append_samples(writer, "test", 100, 7, false);
  append_samples(writer, "train", 30, 1);
  writer.finish(sample_items(), {{"command", "prepare --x"}});

  const Dataset train(directory, "train");
  ASSERT_EQ(train.size(), 31);
  EXPECT_TRUE(train.has_candidates());
  EXPECT_TRUE(train.has_histories());
  std::int64_t tokens = 0;
  std::int64_t supervised = 0;
  std::int64_t longest = 0;
  for (std::int64_t i = 0; i < train.size(); ++i) {
    const Example expected = sample_example(i, true);
    const auto length = static_cast<std::int64_t>(expected.tokens.size());
    expect_equal(train.example(i), expected, i);
    EXPECT_EQ(train.length(i), length);
    EXPECT_EQ(train.prompt_length(i), expected.prompt_length);
    EXPECT_EQ(train.num_supervised(i), length - std::max<std::int64_t>(expected.prompt_length, 1));
    tokens += length;
    supervised += train.num_supervised(i);
    longest = std::max(longest, length);
  }
  EXPECT_THROW(train.example(31), core::Fault);
  EXPECT_THROW(train.length(-1), core::Fault);

  const Dataset test(directory, "test");
  ASSERT_EQ(test.size(), 7);
  EXPECT_FALSE(test.has_candidates());
  for (std::int64_t i = 0; i < 7; ++i) expect_equal(test.example(i), sample_example(100 + i, false), i);

  const DatasetInfo& info = train.info();
  const Json& split = info.json.at("splits").at("train");
  EXPECT_EQ(split.at("examples"), 31);
  EXPECT_EQ(split.at("tokens"), tokens);
  EXPECT_EQ(split.at("supervised_tokens"), supervised);
  ASSERT_EQ(split.at("shards").size(), 5u);
  EXPECT_EQ(split.at("shards")[4].at("file"), "train-00004-of-00005.h5");
  EXPECT_EQ(split.at("shards")[4].at("examples"), 3);
  EXPECT_EQ(info.json.at("splits").at("test").at("shards")[0].at("file"), "test-00000-of-00001.h5");
  EXPECT_EQ(info.json.at("command"), "prepare --x");
  EXPECT_EQ(info.tokenizer_sha256, kTokenizerSha);
  EXPECT_EQ(info.vocab_size, kVocabulary);
  EXPECT_EQ(info.bos_id, 1);
  EXPECT_EQ(info.eos_id, 2);
  EXPECT_GE(info.max_length, longest);
  EXPECT_TRUE(has_split(info, "test"));
  EXPECT_FALSE(has_split(info, "validation"));
  // 5 + 1 shards, items.jsonl and dataset.json; nothing else is left here or beside it.
  EXPECT_EQ(std::distance(fs::directory_iterator(directory), fs::directory_iterator{}), 8);
  EXPECT_EQ(std::distance(fs::directory_iterator(directory.parent_path()), fs::directory_iterator{}), 1);
}

TEST(Dataset, IsPlainHdf5ForOthers) {
  const support::TemporaryDirectory scratch;
  DatasetWriter writer(writer_options(scratch.path() / "DS"));
  append_samples(writer, "train", 0, 50);
  writer.finish(sample_items(), Json::object());

  const hid_t file = H5Fopen((scratch.path() / "DS/train-00000-of-00001.h5").c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  ASSERT_GE(file, 0);
  EXPECT_EQ(read_attribute(file, "version"), 1);
  EXPECT_EQ(read_attribute(file, "complete"), 1);
  EXPECT_EQ(read_attribute(file, "vocab_size"), kVocabulary);
  const auto tokens = read_array<std::int64_t>(file, "/tokens", H5T_NATIVE_INT64);
  const auto offsets = read_array<std::int64_t>(file, "/example_offsets", H5T_NATIVE_INT64);
  const auto prompts = read_array<std::int64_t>(file, "/prompt_lengths", H5T_NATIVE_INT64);
  const auto users = read_array<std::uint64_t>(file, "/users", H5T_NATIVE_UINT64);
  const auto timestamps = read_array<std::int64_t>(file, "/timestamps", H5T_NATIVE_INT64);
  const auto last_items = read_array<std::int64_t>(file, "/last_items", H5T_NATIVE_INT64);
  const auto histories = read_array<std::int64_t>(file, "/history_items", H5T_NATIVE_INT64);
  const auto history_offsets = read_array<std::int64_t>(file, "/history_offsets", H5T_NATIVE_INT64);
  const auto candidates = read_array<std::int64_t>(file, "/candidates", H5T_NATIVE_INT64);
  const auto gold = read_array<int>(file, "/gold", H5T_NATIVE_INT);
  ASSERT_EQ(offsets.size(), 51u);
  ASSERT_EQ(candidates.size(), 50u * 4u);
  for (size_t i = 0; i < 50; ++i) {
    const Example expected = sample_example(static_cast<std::int64_t>(i), true);
    const std::vector<TokenId> found(tokens.begin() + offsets[i], tokens.begin() + offsets[i + 1]);
    EXPECT_EQ(found, expected.tokens);
    EXPECT_EQ(prompts[i], expected.prompt_length);
    EXPECT_EQ(users[i], expected.user);
    EXPECT_EQ(timestamps[i], expected.timestamp);
    EXPECT_EQ(last_items[i], expected.last_item.value_or(0xFFFFFFFF));
    EXPECT_EQ(gold[i], *expected.gold);
    const std::vector<std::uint32_t> history(histories.begin() + history_offsets[i],
                                             histories.begin() + history_offsets[i + 1]);
    EXPECT_EQ(history, expected.history);
    for (size_t c = 0; c < 4; ++c)
      EXPECT_EQ(candidates[4 * i + c], c < expected.candidates.size() ? expected.candidates[c] : 0xFFFFFFFF);
  }
  const hid_t array = H5Dopen2(file, "/tokens", H5P_DEFAULT);
  const hid_t type = H5Dget_type(array);
  EXPECT_GT(H5Tequal(type, H5T_STD_U16LE), 0);
  H5Tclose(type);
  H5Dclose(array);
  H5Fclose(file);
}

TEST(Dataset, HoldsLargeVocabulariesAndTokensWithoutATokenizer) {
  for (const std::int64_t vocab_size : {65536, 65537, 2000000}) {
    const support::TemporaryDirectory scratch;
    DatasetWriterOptions options;
    options.directory = scratch.path() / "DS";
    options.vocab_size = vocab_size;
    DatasetWriter writer(options);
    Example example;
    example.tokens = {0, static_cast<TokenId>(vocab_size - 1), 5};
    writer.append("train", example);
    for (std::int64_t i = 0; i < 20; ++i) writer.append("train", sample_example(i, false, vocab_size));
    writer.finish({}, Json::object());
    const Dataset dataset(options.directory, "train");
    EXPECT_EQ(dataset.example(0).tokens, example.tokens);
    EXPECT_EQ(dataset.num_supervised(0), 2);
    for (std::int64_t i = 0; i < 20; ++i) expect_equal(dataset.example(1 + i), sample_example(i, false, vocab_size), i);
    EXPECT_EQ(dataset.info().tokenizer_sha256, "");
    EXPECT_EQ(dataset.info().bos_id, -1);
    EXPECT_TRUE(read_catalogue(dataset.info()).empty());
  }
}

TEST(Dataset, StreamsMoreTokensThanOneBuffer) {
  const support::TemporaryDirectory scratch;
  DatasetWriter writer(writer_options(scratch.path() / "DS"));
  const std::int64_t num_examples = 200;
  Example example;
  for (std::int64_t i = 0; i < num_examples; ++i) {
    example.tokens.assign(10'007, static_cast<TokenId>(i));  // 2 million tokens, 4 MB
    example.tokens.back() = 511;
    writer.append("train", example);
  }
  writer.finish({}, Json::object());
  const Dataset dataset(scratch.path() / "DS", "train");
  EXPECT_EQ(dataset.info().json.at("splits").at("train").at("tokens"), num_examples * 10'007);
  for (std::int64_t i : {0L, 52L, 53L, 104L, 105L, 199L}) {
    const std::vector<TokenId> tokens = dataset.example(i).tokens;
    EXPECT_EQ(std::count(tokens.begin(), tokens.end(), i), 10'006);
    EXPECT_EQ(tokens.back(), 511);
  }
}

TEST(Dataset, EqualDataGivesEqualBytesAndFingerprint) {
  const support::TemporaryDirectory scratch;
  const auto write = [&](const std::string& name, std::int64_t first) {
    DatasetWriter writer(writer_options(scratch.path() / name));
    append_samples(writer, "train", first, 20);
    append_samples(writer, "test", 50, 5);
    writer.finish(sample_items(), {{"command", name}});
    return read_dataset_info(scratch.path() / name).fingerprint;
  };
  const std::string one = write("one", 0);
  EXPECT_EQ(one.size(), 64u);
  EXPECT_EQ(one, write("two", 0));
  EXPECT_NE(one, write("three", 1));
  const std::string shard = "train-00000-of-00001.h5";
  EXPECT_EQ(core::read_file(scratch.path() / "one" / shard), core::read_file(scratch.path() / "two" / shard));
}

TEST(Dataset, KeepsTheCatalogueAndTheTokenizer) {
  const support::TemporaryDirectory scratch;
  const fs::path model = fs::path(ALLRECO_SOURCE_DIR) / "tests/fixtures/tokenizer/tok512.model";
  const Tokenizer tokenizer(model);
  DatasetWriterOptions options = writer_options(scratch.path() / "DS");
  options.tokenizer = model;
  options.tokenizer_sha256 = tokenizer.sha256();
  fs::create_directory(options.directory);  // empty: allowed
  DatasetWriter writer(options);
  append_samples(writer, "train", 0, 3, false);
  const std::vector<Item> items{{0, "B00", "A \"quoted\" title, ä 日本", 3, {5, 6, 7}}, {1, "", "Line\nbreak", 0, {}}};
  writer.finish(items, Json::object());

  const DatasetInfo info = read_dataset_info(options.directory);
  const std::vector<Item> found = read_catalogue(info);
  ASSERT_EQ(found.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(found[i].id, items[i].id);
    EXPECT_EQ(found[i].asin, items[i].asin);
    EXPECT_EQ(found[i].title, items[i].title);
    EXPECT_EQ(found[i].train_count, items[i].train_count);
    EXPECT_EQ(found[i].tokens, items[i].tokens);
  }
  EXPECT_EQ(info.json.at("catalogue").at("items"), 2);
  EXPECT_EQ(Tokenizer(options.directory).sha256(), info.tokenizer_sha256);
  overwrite(options.directory / "items.jsonl", "{}\n");
  EXPECT_TRUE(contains(support::message_of([&] { read_catalogue(info); }), "items.jsonl"));
}

TEST(DatasetWriter, LeavesNothingWhenItIsNotFinished) {
  const support::TemporaryDirectory scratch;
  {
    DatasetWriterOptions options = writer_options(scratch.path() / "new/parents/DS");
    options.examples_per_shard = 2;
    DatasetWriter writer(options);
    append_samples(writer, "train", 0, 5);
    EXPECT_EQ(scratch.num_entries(), 1u);
  }
  EXPECT_EQ(scratch.num_entries(), 0u);
}

TEST(DatasetWriter, RefusesWhatItMayNotOverwrite) {
  const support::TemporaryDirectory scratch;
  overwrite(scratch.path() / "file", "x");
  fs::create_directory(scratch.path() / "full");
  overwrite(scratch.path() / "full/precious", "x");
  const auto error_for = [&](const fs::path& path) {
    return support::message_of([&] { DatasetWriter w(writer_options(path)); });
  };
  EXPECT_TRUE(contains(error_for(scratch.path() / "full"), "not empty"));
  EXPECT_TRUE(contains(error_for(scratch.path() / "full/"), "not empty"));
  EXPECT_TRUE(contains(error_for(scratch.path() / "file"), "is a file"));
  EXPECT_TRUE(contains(error_for(scratch.path() / "file/DS"), (scratch.path() / "file").string()));
  EXPECT_TRUE(contains(error_for("/proc/allreco/DS"), "/proc/allreco"));
  EXPECT_TRUE(contains(error_for("/"), "output directory"));
  EXPECT_EQ(scratch.num_entries(), 2u);
  EXPECT_EQ(core::read_file(scratch.path() / "full/precious"), "x");
}

TEST(DatasetWriter, RefusesBrokenExamples) {
  const support::TemporaryDirectory scratch;
  DatasetWriter writer(writer_options(scratch.path() / "DS"));
  writer.append("train", sample_example(0, true));
  const auto refuses = [&](const std::string& split, auto change) {
    Example example = sample_example(1, true);
    change(example);
    EXPECT_THROW(writer.append(split, example), core::Fault);
  };
  refuses("train", [](Example& e) { e.tokens.clear(); });
  refuses("train", [](Example& e) { e.tokens[0] = kVocabulary; });
  refuses("train", [](Example& e) { e.tokens[0] = -1; });
  refuses("train", [](Example& e) { e.prompt_length = static_cast<std::int64_t>(e.tokens.size()) + 1; });
  refuses("train", [](Example& e) { e.gold = 200; });
  refuses("train", [](Example& e) { e.user.reset(); });
  refuses("../train", [](Example&) {});
  writer.finish(sample_items(), Json::object());
  EXPECT_EQ(Dataset(scratch.path() / "DS", "train").size(), 1);

  DatasetWriter other(writer_options(scratch.path() / "DS2"));
  other.append("train", sample_example(0, true));
  EXPECT_THROW(other.finish(sample_items(), {{"splits", 1}}), core::Fault);

  DatasetWriter without_items(writer_options(scratch.path() / "DS3"));
  without_items.append("train", sample_example(0, true));
  EXPECT_THROW(without_items.finish({}, Json::object()), core::Fault);
}

}  // namespace allreco::data
