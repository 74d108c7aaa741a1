// Bad input through the program: exit code 2 and a message that says what and where, on every rank, and nothing
// half-written left.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>

#include "cli/program.h"
#include "core/files.h"

namespace allreco::cli {
namespace {

using namespace testing;
namespace fs = std::filesystem;

class BadInput : public ::testing::Test {
 protected:
  void SetUp() override {
    write("rows.jsonl",
          "{\"input_ids\":[1,2,3,4],\"labels\":[-100,-100,3,4]}\n{\"input_ids\":[1,5,6],\"labels\":[-100,5,6]}\n");
    const auto outcome = run_program(
        0, "prepare --tokens " + (scratch_ / "rows.jsonl") + " --vocab_size 512 --output_dir " + (scratch_ / "DS"));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.output;
  }
  void write(const std::string& name, const std::string& text) { core::write_file_atomically(scratch_ / name, text); }
  std::string train(const std::string& dataset, const std::string& model, const std::string& options = "") const {
    return fmt::format("train --model_name_or_path {} --dataset {} --output_dir {} --max_steps 2 --save_strategy no {}",
                       model, dataset, scratch_ / "OUT", options);
  }
  /// Fails with 2 within seconds, says `parts`, leaves no `left`.
  static void expect_refused(const std::string& command, const std::vector<std::string>& parts,
                             const std::string& left) {
    const auto start = std::chrono::steady_clock::now();
    const auto outcome = run_shell(command);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.output;
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
    for (const auto& part : parts)
      EXPECT_NE(outcome.output.find(part), std::string::npos) << part << " not in: " << outcome.output;
    EXPECT_TRUE(left.empty() || !fs::exists(left)) << left << " was left behind";
  }
  const std::string model_ = source("examples/stories260k").string();
  Scratch scratch_;
};

// MPI_Abort has mpirun print ten lines behind the message. What ends the ranks is said once, and nothing comes after
// it.
TEST_F(BadInput, TheMessageIsTheLastThingSeenUnderMpirun) {
  for (const int ranks : {1, 3}) {
    const auto outcome = run_program(ranks, "prepare --tokens " + (scratch_ / "none.jsonl") +
                                                " --vocab_size 512 --output_dir " + (scratch_ / "NEW"));
    EXPECT_EQ(outcome.exit_code, 2) << outcome.output;
    const std::string message = "none.jsonl: No such file or directory\n";
    EXPECT_TRUE(outcome.output.ends_with(message)) << outcome.output;
    EXPECT_EQ(outcome.output.find(message), outcome.output.rfind(message)) << outcome.output;
  }
}

// SIGXFSZ: the system refuses a file that would grow beyond the limit, in the same calls as on a full disk.
TEST_F(BadInput, FilesThatMayNotGrowLeaveNothingBehind) {
  const std::string reviews = source("examples/gift-cards/reviews.json.gz"),
                    metadata = source("examples/gift-cards/metadata.json.gz");
  const Scratch parent;
  for (const int blocks : {1, 40, 200}) {
    const auto outcome = run_shell(
        fmt::format("ulimit -f {} && {}", blocks,
                    program(0, fmt::format("prepare --reviews {} --metadata {} --tokenizer {} --output_dir {}", reviews,
                                           metadata, model_, parent / "made/DS"))));
    EXPECT_EQ(outcome.exit_code, 2) << outcome.output;
    EXPECT_NE(outcome.output.find("File too large"), std::string::npos) << outcome.output;
    EXPECT_EQ(parent.num_entries(), 0u) << outcome.output;
  }
}

TEST_F(BadInput, OptionsAndConfigFiles) {
  write("typo.cfg", "learning_rat = 1e-3\n");
  expect_refused(program(2, train(scratch_ / "DS", model_, "--config " + (scratch_ / "typo.cfg"))),
                 {"learning_rat", "learning_rate", "typo.cfg"}, scratch_ / "OUT");
  expect_refused(program(0, "trian"), {"trian", "train"}, "");
  expect_refused(program(0, train(scratch_ / "DS", model_, "--dtype float8")), {"dtype", "float8", "bfloat16"},
                 scratch_ / "OUT");
}

// Once: 0 of -9223372036854775808 steps with exit code 0; 22,000 threads; 24 GB.
TEST_F(BadInput, NumbersBeyondAllReason) {
  expect_refused(program(0, train(scratch_ / "DS", model_, "--num_train_epochs 1e300")),
                 {"num_train_epochs = 1e300", "above 0 and at most 1000000"}, scratch_ / "OUT");
  expect_refused(program(0, train(scratch_ / "DS", model_, "--threads 100000")), {"threads = 100000", "0 to 1024"},
                 scratch_ / "OUT");
  expect_refused("OMP_NUM_THREADS=100000 " + program(0, train(scratch_ / "DS", model_)), {"OMP_NUM_THREADS", "1024"},
                 scratch_ / "OUT");
  expect_refused(program(0, "evaluate --bootstrap_samples 1e11"), {"bootstrap_samples = 1e11", "1000 to 1000000"}, "");
  expect_refused(program(0, "evaluate --base_model_baseline true --model_name_or_path M --dataset D --output_dir E"),
                 {"base_model_baseline = true", "adapter_name_or_path is missing"}, "");
  const auto version = run_program(0, "--version");
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_EQ(version.output.rfind("allreco ", 0), 0u) << version.output;
}

TEST_F(BadInput, AdaptersThatClaimHugeRanks) {
  const auto made = run_program(0, train(scratch_ / "DS", model_, "--lora_r 2"));
  ASSERT_EQ(made.exit_code, 0) << made.output;
  core::Json config = core::read_json_file(scratch_ / "OUT/adapter_config.json");
  for (const core::Json& rank : {core::Json(1'000'000), core::Json(60'000), core::Json(3), core::Json(1e300)}) {
    config["r"] = rank;
    core::write_json_file(scratch_ / "OUT/adapter_config.json", config);
    expect_refused(program(0, fmt::format("evaluate --model_name_or_path {} --adapter_name_or_path {} --dataset {} "
                                          "--split train --output_dir {}",
                                          model_, scratch_ / "OUT", scratch_ / "DS", scratch_ / "EVAL")),
                   {"adapter_"}, scratch_ / "EVAL");
  }
}

TEST_F(BadInput, NamesThatNoFileSystemTakes) {
  const std::string long_name(5000, 'x');
  for (const int ranks : {0, 2}) {
    expect_refused(program(ranks, train(scratch_ / long_name, model_)), {long_name}, scratch_ / "OUT");
    expect_refused(program(ranks, train(scratch_ / "DS", scratch_ / long_name)), {"too long"}, scratch_ / "OUT");
  }
  expect_refused(program(0, "inspect " + (scratch_ / long_name)), {"too long"}, "");
  write("dataset.json", R"({"format": 1, "splits": [1, 2]})");
  expect_refused(program(0, "inspect " + scratch_.path().string()), {"dataset.json"}, "");
}

// A run's config.cfg as the next run's --config, with names that once came back as others.
TEST_F(BadInput, OutputDirectoriesOfAnyNameResume) {
  for (const std::string name : {"a #b", " \"both\" \\ "}) {
    const std::string output = scratch_ / name;
    const std::string command = fmt::format(
        "train --model_name_or_path {} --dataset {} --max_steps 2 --save_steps 1 --threads 1", model_, scratch_ / "DS");
    const auto first = run_program(0, command + " --output_dir '" + output + "'");
    ASSERT_EQ(first.exit_code, 0) << first.output;
    const auto again = run_program(0, "train --config '" + output + "/config.cfg' --resume_from_checkpoint auto");
    EXPECT_EQ(again.exit_code, 0) << again.output;
    EXPECT_NE(again.output.find("resuming after 2 of 2 steps"), std::string::npos) << "not resumed: " << again.output;
  }
}

TEST_F(BadInput, RawFilesOfPrepare) {
  const std::string reviews = source("examples/gift-cards/reviews.json.gz").string();
  const std::string metadata = source("examples/gift-cards/metadata.json.gz").string();
  const auto prepare = [&](const std::string& r, const std::string& options) {
    return program(0, fmt::format("prepare --reviews {} --metadata {} --tokenizer {} --output_dir {} {}", r, metadata,
                                  model_, scratch_ / "NEW", options));
  };
  expect_refused(prepare("/nowhere/reviews.json.gz", ""), {"/nowhere/reviews.json.gz"}, scratch_ / "NEW");
  const std::string bytes = core::read_file(reviews);
  write("cut.json.gz", bytes.substr(0, bytes.size() / 2));
  expect_refused(prepare(scratch_ / "cut.json.gz", ""), {"cut.json.gz"}, scratch_ / "NEW");
  expect_refused(prepare(reviews, "--min_history 1000"), {"no example is left", "shoppers_with_too_few_purchases 458"},
                 scratch_ / "NEW");

  std::string rows = core::read_file(scratch_ / "rows.jsonl");
  write("bad.jsonl", rows + "{\"input_ids\": [1,\n");
  expect_refused(program(0, fmt::format("prepare --tokens {} --vocab_size 512 --output_dir {}", scratch_ / "bad.jsonl",
                                        scratch_ / "NEW")),
                 {"bad.jsonl", "3"}, scratch_ / "NEW");
  for (int i = 0; i < 8; ++i) rows += rows;  // one bad line among 512 is below the share that ends the run
  write("mostly.jsonl", rows + "{\"input_ids\": [1,\n");
  const auto counted = run_program(0, fmt::format("prepare --tokens {} --vocab_size 512 --output_dir {}",
                                                  scratch_ / "mostly.jsonl", scratch_ / "NEW"));
  EXPECT_EQ(counted.exit_code, 0) << counted.output;
  EXPECT_NE(counted.output.find("513"), std::string::npos) << counted.output;
}

TEST_F(BadInput, DatasetsThatWereDamagedOrBelongElsewhere) {
  const fs::path shard = scratch_.path() / "DS/train-00000-of-00001.h5";
  const std::string bytes = core::read_file(shard);
  const std::string inspect = "inspect " + (scratch_ / "DS");
  core::write_file_atomically(shard, bytes.substr(0, bytes.size() - 7));
  expect_refused(program(0, inspect), {"train-00000-of-00001.h5"}, "");
  expect_refused(program(2, train(scratch_ / "DS", model_)), {"train-00000-of-00001.h5"}, scratch_ / "OUT");
  std::string flipped = bytes;
  flipped[bytes.size() / 2] = static_cast<char>(flipped[bytes.size() / 2] ^ 1);
  core::write_file_atomically(shard, flipped);
  expect_refused(program(0, inspect + " --verify"), {"train-00000-of-00001.h5"}, "");
  expect_refused(program(2, train(scratch_ / "DS", model_)), {"train-00000-of-00001.h5"}, scratch_ / "OUT");

  write("prompts.jsonl",
        "{\"prompt\":\"a\",\"output\":\"b\"}\n{\"prompt\":\"c\",\"output\":\"d\"}\n{\"prompt\":\"e\",\"output\":\"f\"}"
        "\n");
  const std::string other = source("tests/fixtures/tokenizer/mistral-7b-v0.1-tokenizer.model").string();
  ASSERT_TRUE(fs::exists(other));
  const auto prepared = run_program(0, fmt::format("prepare --prompts {} --tokenizer {} --output_dir {}",
                                                   scratch_ / "prompts.jsonl", other, scratch_ / "MISTRAL"));
  ASSERT_EQ(prepared.exit_code, 0) << prepared.output;
  expect_refused(program(0, train(scratch_ / "MISTRAL", model_)), {"tokenizer"}, scratch_ / "OUT");
}

TEST_F(BadInput, InspectShowsTheExamplesThatWerePrepared) {
  const auto outcome = run_shell(program(0, "inspect " + (scratch_ / "DS") + " --verify --show 2") + " 2>/dev/null");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.output;
  const core::Json shown = core::Json::parse(outcome.output);
  EXPECT_EQ(shown.at("checked"), (core::Json{{"verified", true}, {"files", 1}, {"examples", 2}, {"tokens", 7}}));
  std::ifstream rows(scratch_ / "rows.jsonl");
  std::string line;
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(std::getline(rows, line));
    const core::Json row = core::Json::parse(line);
    EXPECT_EQ(shown.at("examples").at(i).at("input_ids"), row.at("input_ids"));
    EXPECT_EQ(shown.at("examples").at(i).at("labels"), row.at("labels"));
  }
  fs::remove(scratch_.path() / "DS/train-00000-of-00001.h5");
  expect_refused(program(0, "inspect " + (scratch_ / "DS")), {"train-00000-of-00001.h5"}, "");
}

TEST_F(BadInput, ModelsThatLie) {
  fs::copy(model_, scratch_ / "M");
  std::string bytes = core::read_file(scratch_ / "M/model.safetensors");
  bytes[0] = bytes[1] = bytes[2] = '\xff';  // a header longer than the file
  write("M/model.safetensors", bytes);
  expect_refused(program(2, train(scratch_ / "DS", scratch_ / "M")), {"model.safetensors"}, scratch_ / "OUT");
}

TEST_F(BadInput, OutputDirectoryOfAnotherRun) {
  const auto first = run_program(0, train(scratch_ / "DS", model_));
  ASSERT_EQ(first.exit_code, 0) << first.output;
  const std::string adapter = core::read_file(scratch_ / "OUT/adapter_model.safetensors");
  expect_refused(program(2, train(scratch_ / "DS", model_, "--seed 7")), {"OUT", "overwrite_output_dir"}, "");
  EXPECT_EQ(core::read_file(scratch_ / "OUT/adapter_model.safetensors"), adapter);
}

// A tmpfs of 200 KiB in a mount namespace of its own: the adapter (370 KB) does not fit.
TEST_F(BadInput, FullDiskWhileSaving) {
  const std::string tiny = scratch_ / "tiny";
  fs::create_directory(tiny);
  const std::string mounted = "unshare -m sh -c \"mount -t tmpfs -o size=200k none " + tiny + " && ";
  if (run_shell(mounted + "true\"").exit_code != 0)
    GTEST_SKIP() << "this user may not mount; data.DiskFull tests the same with a file size limit";
  const std::string command = program(
      2, fmt::format("train --model_name_or_path {} --dataset {} --output_dir {}/OUT --max_steps 2 --save_steps 1",
                     model_, scratch_ / "DS", tiny));
  const auto outcome = run_shell(mounted + "(" + command + "); echo program ended with \\$?; find " + tiny + "/OUT\"");
  EXPECT_NE(outcome.output.find("program ended with 2\n"), std::string::npos) << outcome.output;
  EXPECT_NE(outcome.output.find("No space left on device"), std::string::npos) << outcome.output;
  EXPECT_EQ(outcome.output.find("OUT/checkpoint-1\n"), std::string::npos) << outcome.output;
  EXPECT_EQ(outcome.output.find("OUT/adapter_model.safetensors\n"), std::string::npos) << outcome.output;
}

// The disk is full at first and gets room once a save has failed: training must have gone on, with every line of
// metrics.jsonl, and the next save must stand.
TEST_F(BadInput, ADiskThatIsFullForAWhileCostsOnlyTheSavesMeanwhile) {
  const std::string tiny = scratch_ / "tiny", log = scratch_ / "log";
  fs::create_directory(tiny);
  const std::string mounted = "unshare -m sh -c \"mount -t tmpfs -o size=8m none " + tiny + " && ";
  if (run_shell(mounted + "true\"").exit_code != 0)
    GTEST_SKIP() << "this user may not mount; train.CheckpointWriter tests failed saves without it";
  const std::string command = program(
      2, fmt::format("train --model_name_or_path {} --dataset {} --output_dir {}/OUT --max_steps 400 --save_steps 20 "
                     "--save_total_limit 2 --logging_steps 1 --global_batch_size 1",
                     model_, scratch_ / "DS", tiny));
  const auto outcome =
      run_shell(mounted + "head -c 7900000 /dev/zero > " + tiny + "/ballast; (" + command + " > " + log +
                " 2>&1; echo program ended with \\$? >> " + log +
                ") & until grep -q 'training goes on and tries again\\|ended' " + log + "; do sleep 0.02; done; rm " +
                tiny + "/ballast; wait; cat " + log + "; ls " + tiny + "/OUT; cat " + tiny +
                "/OUT/train_results.json; wc -l " + tiny + "/OUT/metrics.jsonl\"");
  EXPECT_NE(outcome.output.find("program ended with 0\n"), std::string::npos) << outcome.output;
  EXPECT_NE(outcome.output.find("tries again at the next save"), std::string::npos) << outcome.output;
  EXPECT_NE(outcome.output.find("checkpoint-400\n"), std::string::npos) << outcome.output;
  EXPECT_EQ(outcome.output.find("\"failed_saves\": 0"), std::string::npos) << outcome.output;
  EXPECT_NE(outcome.output.find("\"failed_saves\": "), std::string::npos) << outcome.output;
  EXPECT_NE(outcome.output.find("400 " + tiny), std::string::npos) << outcome.output;
}

TEST_F(BadInput, AFileMissingOnOneRankOnly) {
  const std::string own = "sh -c 'exec " + std::string(ALLRECO_BINARY) + " " +
                          train((scratch_ / "DS") + "$OMPI_COMM_WORLD_RANK", model_) + "'";
  fs::copy(scratch_ / "DS", scratch_ / "DS0", fs::copy_options::recursive);
  expect_refused("mpirun --oversubscribe --bind-to none -n 2 " + own, {"rank 1", "DS1"}, scratch_ / "OUT");
}

}  // namespace
}  // namespace allreco::cli
