// Files that are made to hurt, through the program: exit code 2 within seconds, and one line of text that says which
// file it is.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>

#include "cli/program.h"
#include "core/files.h"

namespace allreco::cli {
namespace {

using namespace testing;
namespace fs = std::filesystem;

struct Input {
  std::string file;     // below the scratch directory
  std::string command;  // that reads it
};

class HostileInput : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::copy(source("examples/stories260k"), scratch_ / "M");
    fs::copy(source("examples/gift-cards/reviews.json.gz"), scratch_ / "reviews.json.gz");
    fs::copy(source("examples/gift-cards/metadata.json.gz"), scratch_ / "metadata.json.gz");
    write("M/LICENSE", "a licence\n");
    write("run.cfg", "seed = 1\n");
    write("rows.jsonl", "{\"input_ids\":[1,2,3,4],\"labels\":[-100,-100,3,4]}\n");
    std::string prompts;
    for (const char* split : {"train", "validation", "test"}) {
      prompts += core::Json{{"prompt", "a"}, {"output", "b"}, {"options", {"b", "c"}}, {"split", split}}.dump() + "\n";
    }
    write("prompts.jsonl", prompts);
    write("template.json", R"({"name": "t", "prompt": "{instruction} {input}", "prompt_without_input": "{instruction}",
                               "output": "{output}"})");
  }
  void write(const std::string& name, const std::string& text) const {
    core::write_file_atomically(scratch_ / name, text);
  }
  void succeed(const std::string& command) const {
    const auto outcome = run_program(0, command);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.output;
  }
  /// The datasets DS and DP, a run OUT with checkpoint-1.
  void make_all() const {
    succeed(prepare_tokens("DS"));
    succeed(prepare_prompts("DP"));
    succeed(train("OUT", "--save_steps 1"));
    write("OUT/evaluation.json", "{}");
    succeed(evaluate("EV"));
    succeed(evaluate("EW"));
    // One that says nothing of its predictions, as earlier versions wrote it: what is beside it is read.
    fs::copy(scratch_ / "EV", scratch_ / "EX");
    core::Json document = core::read_json_file(scratch_ / "EX/evaluation.json");
    document.erase("predictions_sha256");
    core::write_json_file(scratch_ / "EX/evaluation.json", document);
    write("requests.txt", "1|2\n");
    write("sequences.txt", "u1 a b c\nu2 b c a\nu3 c a b\n");
    write("items.txt", "a Apple pie\nb Bread roll\nc Cheese cake\n");
    write("ratings.csv", "user_id,parent_asin,rating,timestamp\n");
    succeed(
        fmt::format("prepare --sequences {0}/sequences.txt --items {0}/items.txt --tokenizer {0}/M --num_candidates "
                    "0 --template amazon-next-item-open --output_dir {0}/DQ",
                    root()));
  }
  std::string evaluate(const std::string& to) const {
    return fmt::format(
        "evaluate --model_name_or_path {0}/M --dataset {0}/DP --split test --max_new_tokens 2 --output_dir {0}/{1}",
        root(), to);
  }
  std::string prepare_tokens(const std::string& to) const {
    return fmt::format("prepare --tokens {0}/rows.jsonl --vocab_size 512 --output_dir {0}/{1}", root(), to);
  }
  std::string prepare_prompts(const std::string& to) const {
    return fmt::format(
        "prepare --prompts {0}/prompts.jsonl --tokenizer {0}/M --template {0}/template.json --output_dir "
        "{0}/{1}",
        root(), to);
  }
  std::string train(const std::string& to, const std::string& options, int max_steps = 1) const {
    return fmt::format("train --model_name_or_path {0}/M --dataset {0}/DS --output_dir {0}/{1} --max_steps {2} {3}",
                       root(), to, max_steps, options);
  }
  std::string root() const { return scratch_.path().string(); }

  std::vector<Input> inputs() const {
    const std::string reviews = fmt::format(
        "prepare --reviews {0}/reviews.json.gz --metadata {0}/metadata.json.gz --tokenizer {0}/M --output_dir {0}/NEW",
        root());
    const std::string from_adapter = train("NEW", fmt::format("--adapter_name_or_path {}/OUT", root()));
    const std::string resume =
        train("OUT", fmt::format("--save_steps 1 --resume_from_checkpoint {}/OUT/checkpoint-1", root()));
    const auto report = [&](const char* run) {
      return fmt::format("report {0}/{1} --output {0}/NEW/r.html", root(), run);
    };
    const std::string compare = fmt::format("compare {0}/EV {0}/EW", root());
    const std::string audit = fmt::format("audit {0}/DP", root());
    const std::string recommend =
        fmt::format("recommend --model_name_or_path {0}/M --dataset {0}/DQ --input {0}/requests.txt", root());
    const std::string sequences = fmt::format(
        "prepare --sequences {0}/sequences.txt --items {0}/items.txt --tokenizer {0}/M --output_dir {0}/NEW", root());
    const std::string ratings = fmt::format(
        "prepare --reviews {0}/ratings.csv --metadata {0}/metadata.json.gz --tokenizer {0}/M --output_dir {0}/NEW",
        root());
    const std::string to_export =
        fmt::format("export --model_name_or_path {0}/M --adapter_name_or_path {0}/OUT --output_dir {0}/NEW", root());
    return {{"rows.jsonl", prepare_tokens("NEW")},
            {"prompts.jsonl", prepare_prompts("NEW")},
            {"template.json", prepare_prompts("NEW")},
            {"M/tokenizer.model", prepare_prompts("NEW")},
            {"reviews.json.gz", reviews},
            {"metadata.json.gz", reviews},
            {"run.cfg", train("NEW", fmt::format("--config {}/run.cfg", root()))},
            {"M/config.json", train("NEW", "")},
            {"M/model.safetensors", train("NEW", "")},
            {"DS/dataset.json", train("NEW", "")},
            {"DS/train-00000-of-00001.h5", train("NEW", "")},
            {"OUT/adapter_config.json", from_adapter},
            {"OUT/adapter_model.safetensors", from_adapter},
            {"OUT/checkpoint-1/SHA256SUMS", resume},
            {"OUT/checkpoint-1/trainer_state.json", resume},
            {"OUT/checkpoint-1/optimizer.safetensors", resume},
            {"sequences.txt", sequences},
            {"items.txt", sequences},
            {"ratings.csv", ratings},
            {"requests.txt", recommend},
            {"DQ/items.jsonl", recommend},
            {"DQ/tokenizer.model", recommend},
            {"EV/evaluation.json", compare},
            {"EW/predictions.jsonl", compare},
            {"EV/evaluation.json", report("EV")},
            {"EX/predictions.jsonl", report("EX")},
            {"OUT/metrics.jsonl", report("OUT")},
            {"OUT/train_results.json", report("OUT")},
            {"OUT/config.cfg", report("OUT")},
            {"OUT/last/trainer_state.json", report("OUT")},
            {"DP/dataset.json", audit},
            {"DP/test-00000-of-00001.h5", audit},
            {"DP/items.jsonl", evaluate("NEW")},
            {"OUT/config.cfg", to_export},
            {"OUT/evaluation.json", to_export},
            {"M/LICENSE", to_export}};
  }
  void expect_refused(const Input& input, const std::string& why) const {
    const auto start = std::chrono::steady_clock::now();
    const auto outcome = run_program(0, input.command);
    EXPECT_EQ(outcome.exit_code, 2) << input.file << ": " << outcome.output;
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30)) << input.file;
    EXPECT_NE(outcome.output.find(fs::path(input.file).filename()), std::string::npos) << outcome.output;
    EXPECT_NE(outcome.output.find(why), std::string::npos) << input.file << ": " << outcome.output;
    EXPECT_FALSE(fs::exists(scratch_ / "NEW/adapter_model.safetensors")) << input.file;
  }
  Scratch scratch_;
};

TEST_F(HostileInput, AFifoOrADeviceInPlaceOfAnyInputIsRefusedAtOnce) {
  make_all();
  for (const Input& input : inputs()) {
    const fs::path place = scratch_ / input.file, kept = scratch_ / "kept";
    fs::rename(place, kept);
    ASSERT_EQ(::mkfifo(place.c_str(), 0600), 0);
    expect_refused(input, "it is a FIFO, a regular file is needed");
    fs::remove(place);
    fs::create_symlink("/dev/zero", place);
    const bool is_copied_along = input.command.starts_with("export");
    const bool is_quoted = input.command.starts_with("report");  // what is shown may be no link, either
    expect_refused(input, is_copied_along ? "is a link that leads out of its model"
                          : is_quoted     ? ""
                                          : "it is a device, a regular file is needed");
    fs::remove(place);
    fs::create_directory(place);
    if (input.file != "M/LICENSE" && input.file != "M/tokenizer.model") expect_refused(input, "");
    fs::remove(place);
    fs::rename(kept, place);
  }
}

TEST_F(HostileInput, JsonThatNestsDeeplyIsRefused) {
  make_all();
  for (const Input& input : inputs()) {
    const bool is_json = input.file.ends_with(".json") || input.file.ends_with(".jsonl");
    if (!is_json || input.file.starts_with("OUT/checkpoint-1") || input.file.ends_with("items.jsonl")) continue;
    const std::string kept = core::read_file(scratch_ / input.file);
    for (const char* bracket : {"[", "{\"a\":"}) {
      std::string text;
      while (text.size() < 1 << 20) text += bracket;
      write(input.file, text + "\n");  // a last line without an end of metrics.jsonl is one that was never written
      expect_refused(input, "");
    }
    write(input.file, kept);
  }
}

TEST_F(HostileInput, ALineWithoutEndIsRefusedEvenIfItIsSmallOnDisk) {
  const auto packed =
      run_shell(fmt::format("head -c 200000000 /dev/zero | tr '\\0' '[' | gzip > {}/rows.jsonl", root()));
  ASSERT_EQ(packed.exit_code, 0) << packed.output;
  ASSERT_LT(fs::file_size(scratch_ / "rows.jsonl"), 1u << 20);
  expect_refused({"rows.jsonl", prepare_tokens("NEW")}, "line 1 has more than 67108864 bytes");
}

TEST_F(HostileInput, NamesStayTextInMessages) {
  const std::string name = "a\x1b[31m\n12:00:00 error b\xc2\x9b<script>";
  const auto outcome =
      run_program(0, fmt::format("prepare --tokens '{0}/{1}' --vocab_size 512 --output_dir {0}/NEW", root(), name));
  EXPECT_EQ(outcome.exit_code, 2) << outcome.output;
  EXPECT_NE(outcome.output.find(R"(a\x1b[31m\n12:00:00 error b\x9b<script>: No such file)"), std::string::npos)
      << outcome.output;
  EXPECT_EQ(outcome.output.find("\n12:00:00"), std::string::npos) << outcome.output;
  EXPECT_EQ(outcome.output.find('\x1b'), std::string::npos) << outcome.output;
}

TEST_F(HostileInput, NamesStayTextInModelCards) {
  succeed(prepare_tokens("DS"));
  succeed(train("OUT", "--save_strategy no"));
  const std::string name = "x\": y\n# <script>alert(1)\n---";
  fs::rename(scratch_ / "M", scratch_ / name);
  write("OUT/config.cfg", "a = 1\n```\n<script>\n");
  succeed(fmt::format("export --model_name_or_path '{0}/{1}' --adapter_name_or_path {0}/OUT --output_dir {0}/NEW",
                      root(), name));
  const std::string card = core::read_file(scratch_ / "NEW/README.md");
  const std::string key = "---\nbase_model: ";
  ASSERT_TRUE(card.starts_with(key));
  const size_t end = card.find("\nlibrary_name: transformers\n");
  ASSERT_NE(end, std::string::npos);
  // A JSON string is a YAML string.
  EXPECT_EQ(core::Json::parse(card.substr(key.size(), end - key.size())).get<std::string>(), name);
  EXPECT_NE(card.find("\n# x\": y\\\\n\\# \\<script\\>alert(1)\\\\n--- fine-tuned"), std::string::npos) << card;
  EXPECT_NE(card.find("````\na = 1\n```\n<script>\n````\n"), std::string::npos) << card;
}

// The model's weights are mapped: the next step that touches them meets a page that is gone.
TEST_F(HostileInput, AModelThatIsCutWhileItTrainsIsNamed) {
  succeed(prepare_tokens("DS"));
  const std::string command =
      std::string(ALLRECO_BINARY) + " " + train("OUT", "--logging_steps 1 --save_strategy no", 1'000'000);
  const auto outcome = run_shell(fmt::format(
      "{1} > {0}/log 2>&1 & pid=$!; until grep -q loss {0}/OUT/metrics.jsonl 2>/dev/null; do sleep 0.05; kill -0 $pid "
      "|| break; done; truncate -s 1000 {0}/M/model.safetensors; wait $pid; echo ended with $?; tail -n 3 {0}/log",
      root(), command));
  EXPECT_NE(outcome.output.find("ended with 1\n"), std::string::npos) << outcome.output;
  EXPECT_NE(outcome.output.find("M/model.safetensors was cut short"), std::string::npos) << outcome.output;
}

TEST_F(HostileInput, MemoryThatRunsOutIsOneSentence) {
  succeed(prepare_tokens("DS"));
  const auto outcome = run_shell(
      "ulimit -v 3000000; " + std::string(ALLRECO_BINARY) +
      fmt::format(" train --model_name_or_path random:mistral-7b --dataset {0}/DS --output_dir {0}/OUT --max_steps 1 "
                  "--dtype float32",
                  root()));
  EXPECT_EQ(outcome.exit_code, 1) << outcome.output;
  EXPECT_NE(outcome.output.find("memory ran out"), std::string::npos) << outcome.output;
  EXPECT_NE(outcome.output.find("per_device_train_batch_size"), std::string::npos) << outcome.output;
  const auto evaluating =
      run_shell("ulimit -v 3000000; " + std::string(ALLRECO_BINARY) +
                fmt::format(" evaluate --model_name_or_path random:mistral-7b --dataset {0}/DS --output_dir {0}/EV "
                            "--dtype float32 --split train",
                            root()));
  EXPECT_EQ(evaluating.exit_code, 1) << evaluating.output;
  EXPECT_NE(evaluating.output.find("memory ran out"), std::string::npos) << evaluating.output;
  EXPECT_NE(evaluating.output.find("max_tokens_per_batch"), std::string::npos) << evaluating.output;
  EXPECT_EQ(evaluating.output.find("per_device_train_batch_size"), std::string::npos) << evaluating.output;
}

}  // namespace
}  // namespace allreco::cli
