// What commands write, from outside: never over what is there without being told, never beside another process that
// writes the same, never into a file that took the place of a closed stream.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "cli/program.h"
#include "core/files.h"
#include "core/output_file.h"

namespace allreco::cli {
namespace {

using namespace testing;
namespace fs = std::filesystem;

class Outputs : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string row = R"({"input_ids": [5, 9, 17, 33], "labels": [-100, 9, 17, 33]})";
    core::write_file_atomically(scratch_ / "rows.jsonl", token_rows(8, row));
    succeed(prepare("DS"));
    succeed(
        fmt::format("evaluate --model_name_or_path {} --dataset {} --split train --max_new_tokens 2 --output_dir {}",
                    model_, scratch_ / "DS", scratch_ / "EV"));
  }
  static void succeed(const std::string& command) {
    const auto outcome = run_program(0, command);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.output;
  }
  std::string prepare(const std::string& to) const {
    return fmt::format("prepare --tokens {} --vocab_size 512 --output_dir {}", scratch_ / "rows.jsonl", scratch_ / to);
  }
  /// Commands that write one file, which `--output` names, and the files that they write beside it.
  std::vector<std::pair<std::string, std::string>> with_output() const {
    const std::string bench =
        fmt::format("bench --model_name_or_path {} --sequence_length 8 --max_steps 1 --warmup_steps 0", model_);
    return {{fmt::format("compare {0} {0}", scratch_ / "EV"), "c.json"},
            {bench, "b.json"},
            {bench + " --plan", "p.json"},
            {"bench --collectives", "s.json"},
            {fmt::format("report {}", scratch_ / "EV"), "r.html"}};
  }
  void expect_refused(const std::string& command, const std::string& why) const {
    const auto outcome = run_program(0, command);
    EXPECT_EQ(outcome.exit_code, 2) << command << ": " << outcome.output;
    EXPECT_NE(outcome.output.find(why), std::string::npos) << command << ": " << outcome.output;
  }
  const std::string model_ = source("examples/stories260k").string();
  Scratch scratch_;
};

TEST_F(Outputs, AreNotReplacedAndNotWrittenByTwo) {
  const std::string in_use = fmt::format("is in use by process {} on ", ::getpid());
  for (const auto& [command, name] : with_output()) {
    const std::string output = scratch_ / name, with_it = command + " --output " + output;
    {
      const core::OutputFile mine("output", output);
      expect_refused(with_it, in_use);
    }
    core::write_file_atomically(output, "mine\n");
    expect_refused(with_it, "exists");
    EXPECT_EQ(core::read_file(output), "mine\n");
    fs::remove(output);
    succeed(with_it);
    EXPECT_TRUE(fs::exists(output)) << command;
    EXPECT_FALSE(fs::exists(scratch_ / ("." + name + ".lock"))) << command;
  }
}

TEST_F(Outputs, OfAnAuditAreLockedAndSayWhatTheyReplace) {
  const std::string audit = fmt::format("audit {} --output_dir {}", scratch_ / "DS", scratch_ / "AUDIT");
  succeed(audit);
  EXPECT_NE(run_program(0, audit).output.find("replacing " + (scratch_ / "AUDIT/audit.json")), std::string::npos);
  const core::LockedDirectory mine(scratch_ / "AUDIT");
  expect_refused(audit, fmt::format("is in use by process {} on ", ::getpid()));
}

// The first file that a process opens has the number of the stream that its shell closed.
TEST_F(Outputs, ClosedStreamsAreNobodysFiles) {
  for (const std::string streams : {"0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"}) {
    const std::string command = std::string(ALLRECO_BINARY) + " " + prepare("OPEN") + " " + streams;
    const auto outcome = run_shell(command);
    EXPECT_EQ(outcome.exit_code, 0) << streams << ": " << outcome.output;
    succeed("inspect --verify --path " + (scratch_ / "OPEN"));
    fs::remove_all(scratch_ / "OPEN");
  }
  // Once it read the model's weights as requests, and quoted them.
  const std::string cards = source("examples/gift-cards").string();
  succeed(fmt::format(
      "prepare --reviews {0}/reviews.json.gz --metadata {0}/metadata.json.gz --tokenizer {1} --output_dir {2}", cards,
      model_, scratch_ / "GC"));
  const std::string recommend =
      fmt::format("{} recommend --model_name_or_path {} --dataset {}", ALLRECO_BINARY, model_, scratch_ / "GC");
  const auto closed = run_shell(recommend + " 0<&-");
  EXPECT_EQ(closed.exit_code, 0) << closed.output;
  EXPECT_EQ(closed.output.find("no item has"), std::string::npos) << closed.output;
  const auto directory = run_shell(recommend + " < " + scratch_.path().string());
  EXPECT_EQ(directory.exit_code, 2) << directory.output;
  EXPECT_NE(directory.output.find("cannot read the requests from standard input: Is a directory"), std::string::npos)
      << directory.output;
}

}  // namespace
}  // namespace allreco::cli
