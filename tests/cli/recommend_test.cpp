// `allreco recommend` by arguments, by a file and by standard input.
#include <gtest/gtest.h>

#include <sstream>

#include "cli/program.h"

namespace allreco::cli::testing {
namespace {

/// The gift cards, prepared once for all tests of a process.
const std::string& dataset() {
  static const Scratch scratch;
  static const std::string directory = [] {
    const Outcome prepared = run_program(
        0, "prepare --reviews " + source("examples/gift-cards/reviews.json.gz").string() + " --metadata " +
               source("examples/gift-cards/metadata.json.gz").string() + " --tokenizer " +
               source("examples/stories260k").string() +
               " --template amazon-next-item-open --num_candidates 0 --output_dir " + (scratch / "dataset"));
    core::require(prepared.exit_code == 0, "prepare failed");
    return scratch / "dataset";
  }();
  return directory;
}

std::string recommend(const std::string& options) {
  return program(0, "recommend --model_name_or_path " + source("examples/stories260k").string() + " --dataset " +
                        dataset() + " --log_level warning " + options);
}

std::vector<core::Json> json_lines(const std::string& text) {
  std::istringstream stream(text);
  std::vector<core::Json> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(core::Json::parse(line));
  return lines;
}

TEST(Recommend, OneLineInOneLineOut) {
  const Outcome outcome = run_shell(
      "printf '%s\\n' '{\"history\": [3, 4], \"k\": 2, \"id\": \"a\"}' 'nonsense' '{\"history\": [3' '' '3 | 4' | " +
      recommend("--json --k 2"));
  EXPECT_EQ(outcome.exit_code, 0) << "standard input is a service: a bad line has its answer, and ends nothing";
  const auto lines = json_lines(outcome.output);
  ASSERT_EQ(lines.size(), 5u) << outcome.output;
  EXPECT_EQ(lines[0]["id"], "a");
  ASSERT_EQ(lines[0]["recommendations"].size(), 2u);
  for (const int line : {2, 3, 4}) {
    EXPECT_EQ(lines[static_cast<std::size_t>(line) - 1]["line"], line);
    EXPECT_TRUE(lines[static_cast<std::size_t>(line) - 1].contains("error"));
  }
  // Requests share a pass, so the last bits may differ: compare items.
  for (std::size_t i = 0; i < 2; ++i)
    EXPECT_EQ(lines[4]["recommendations"][i]["id"], lines[0]["recommendations"][i]["id"]);
}

/// A wrapper that writes a line and waits for its answer before it writes the next.
TEST(Recommend, AnswersAreFlushedLineByLine) {
  const Scratch scratch;
  const std::string script =
      "mkfifo in out; " + recommend("--json true --k 1") + " < in > out & exec 3> in 4< out; " +
      "for i in 1 2 3; do echo '{\"history\": [5]}' >&3; read -t 60 -r answer <&4 || exit 9; echo \"$answer\"; done; "
      "exec 3>&-; wait";
  const Outcome outcome = run_shell("cd " + scratch.path().string() + "; bash -c '" + [&] {
    std::string quoted;
    for (const char c : script) quoted += c == '\'' ? "'\\''" : std::string(1, c);
    return quoted;
  }() + "'");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  EXPECT_EQ(json_lines(outcome.output).size(), 3u);
}

TEST(Recommend, ArgumentsGiveATable) {
  const Outcome outcome = run_shell(recommend("--history 3,4 --k 3"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  EXPECT_NE(outcome.output.find("probability"), std::string::npos);
  EXPECT_EQ(std::count(outcome.output.begin(), outcome.output.end(), '%'), 3);
  const Outcome unknown = run_shell(recommend("--history 'no such card'"));
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_NE(unknown.output.find("no item has the id, asin or title \"no such card\"; the nearest is"),
            std::string::npos)
      << unknown.output;
}

TEST(Recommend, AFileWithABadLineIsTheUsersMistake) {
  const Scratch scratch;
  std::ofstream(scratch / "good.jsonl") << "{\"history\": [3]}\n{\"history\": [4], \"exclude_history\": false}\n";
  std::ofstream(scratch / "bad.jsonl") << std::string(1 << 17, 'x') << "\n{\"history\": [3]}";
  const Outcome good = run_shell(recommend("--json --input " + (scratch / "good.jsonl")));
  EXPECT_EQ(good.exit_code, 0) << good.output;
  EXPECT_EQ(json_lines(good.output).size(), 2u);
  const Outcome bad = run_shell(recommend("--json --batch_size 1 --input " + (scratch / "bad.jsonl")));
  EXPECT_EQ(bad.exit_code, 2);
  const auto lines = json_lines(bad.output);
  ASSERT_EQ(lines.size(), 2u) << bad.output;
  EXPECT_NE(lines[0]["error"].get<std::string>().find("65536 bytes"), std::string::npos);
  EXPECT_TRUE(lines[1].contains("recommendations"));
}

TEST(Recommend, WhatCannotWorkIsRefusedBeforeTheModelIsLoaded) {
  for (const char* options :
       {"--serve 8080", "--serve 127.0.0.1:1 --history 3", "--input a --history 3", "--k 0", "--scoring best"}) {
    const Outcome outcome = run_shell(recommend(options));
    EXPECT_EQ(outcome.exit_code, 2) << options << outcome.output;
  }
  const Outcome ranks = run_shell(program(2, "recommend --model_name_or_path x --dataset y"));
  EXPECT_EQ(ranks.exit_code, 2);
  EXPECT_NE(ranks.output.find("one process"), std::string::npos) << ranks.output;
}

TEST(Recommend, ATemplateWithOptionsIsWarnedOf) {
  const Scratch scratch;
  const Outcome prepared =
      run_program(0, "prepare --reviews " + source("examples/gift-cards/reviews.json.gz").string() + " --metadata " +
                         source("examples/gift-cards/metadata.json.gz").string() + " --tokenizer " +
                         source("examples/stories260k").string() + " --output_dir " + (scratch / "dataset"));
  ASSERT_EQ(prepared.exit_code, 0) << prepared.output;
  const Outcome outcome = run_program(0, "recommend --model_name_or_path " + source("examples/stories260k").string() +
                                             " --dataset " + (scratch / "dataset") + " --history 3 --k 1");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_NE(outcome.output.find("amazon-next-item-open"), std::string::npos) << outcome.output;
}

}  // namespace
}  // namespace allreco::cli::testing
