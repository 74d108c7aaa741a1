#include "report/runs.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/files.h"
#include "model/lora/adapter.h"
#include "report/data_groups.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::report {
namespace {

namespace fs = std::filesystem;
using support::message_of;

core::Named<std::string> no_options(const std::string& /*text*/, const std::string& /*where*/) { return {}; }

class Directories : public ::testing::Test {
 protected:
  fs::path write(const std::string& name, const std::string& text) const {
    fs::create_directories((scratch_ / name).parent_path());
    core::write_file_atomically(scratch_ / name, text);
    return (scratch_ / name).parent_path();
  }
  /// A training that ended, with an adapter that PEFT wrote.
  fs::path training(const std::string& name, const std::string& metrics) const {
    write(name + "/metrics.jsonl", metrics);
    for (const char* file : {"adapter_config.json", "adapter_model.safetensors"})
      fs::copy_file(fs::path(ALLRECO_SOURCE_DIR) / "tests/fixtures/peft-roundtrip" / file, scratch_ / name / file);
    return write(name + "/train_results.json",
                 R"({"global_step": 30, "epoch": 1.5, "train_loss": 2, "samples_consumed": 240, "skipped_steps": 1,
                     "failed_saves": 0, "best_metric": null, "best_model_checkpoint": null, "world_size": 2})");
  }
  /// Of two lists of three candidates; the right ones are first (chosen with p = 1/2) and last (chosen: the first,
  /// 3/4).
  fs::path evaluation(const std::string& name, const std::optional<std::string>& adapter_fingerprint,
                      const std::string& data = "d") const {
    write(name + "/predictions.jsonl", "{\"index\":0,\"gold\":0,\"log_likelihoods\":[" + logs({0.5, 0.25, 0.25}) +
                                           "],\"catalogue_rank\":{\"mid\":1.5,\"optimistic\":1,\"pessimistic\":2}}\n"
                                           "{\"index\":1,\"gold\":2,\"log_likelihoods\":[" +
                                           logs({0.75, 0.125, 0.125}) + "]}\n");
    eval::EvaluationDocument document;
    document.model.value.emplace();
    document.model.value->model_fingerprint = "base";
    document.model.value->storage = "dense";
    document.model.value->model_name_or_path = "nowhere";
    document.model.value->adapter_fingerprint = adapter_fingerprint;
    document.dataset.fingerprint = data;
    document.dataset.split = "test";
    document.dataset.num_examples_evaluated = 2;
    document.candidates.value = candidates();
    document.loss.not_applicable = document.catalogue.not_applicable = "no";
    document.generation.not_applicable = document.errors.not_applicable = "no";
    return write(name + "/evaluation.json", core::json_of(document).dump());
  }
  static std::string logs(const std::vector<double>& shares) {
    std::string text;
    for (const double share : shares) text += (text.empty() ? "" : ",") + core::Json(std::log(share)).dump();
    return text;
  }
  static eval::CandidateReport candidates() {
    eval::CandidateReport report;
    report.lists.num_candidates = {3, 3, 3};
    report.headline = "log_likelihood";
    eval::CandidateScoresReport scores;
    scores.ece_15_equal_width_bins = 0.5 * std::abs(1 - 0.5) + 0.5 * std::abs(0 - 0.75);
    scores.metrics = {{"accuracy", {0.5, {0.1, 0.9}, eval::Interval{0.2, 0.8}}}};
    report.scores = {{"log_likelihood", scores}};
    const auto baseline = [](double value) {
      return eval::BaselineReport{"", {}, {}, {{"accuracy", {value, {value, value}, {}}}}};
    };
    report.baselines = {
        {"chance", baseline(1.0 / 3)}, {"popular", baseline(0.25)}, {"none", {"", "no history", {}, {}}}};
    return report;
  }
  static std::string fixture_fingerprint() {
    return model::adapter_fingerprint(fs::path(ALLRECO_SOURCE_DIR) / "tests/fixtures/peft-roundtrip");
  }

  support::TemporaryDirectory scratch_;
};

constexpr const char* kMetrics =
    "{\"step\":10,\"epoch\":0.5,\"loss\":4,\"tokens\":1000,\"step_ms\":100,\"compute_ms\":70,"
    "\"communication_exposed_ms\":20,\"data_wait_ms\":5,\"peak_rss_bytes\":7,\"peak_gpu_bytes\":0}\n"
    "{\"step\":10,\"epoch\":0.5,\"eval_loss\":3.5,\"eval_ndcg@10\":0.25,\"eval_runtime_ms\":1500}\n"
    "{\"step\":30,\"epoch\":1.5,\"loss\":null,\"tokens\":3000,\"step_ms\":200,\"compute_ms\":200,"
    "\"communication_exposed_ms\":0,\"data_wait_ms\":0,\"peak_rss_bytes\":9,\"peak_gpu_bytes\":0}\n";

TEST_F(Directories, TotalsWeighEachLineByItsSteps) {
  const Training read = read_training(training("OUT", kMetrics), no_options);
  const StepTotals totals = read.totals();
  EXPECT_EQ(totals.num_steps, 30);
  EXPECT_DOUBLE_EQ(totals.tokens, 4000);
  EXPECT_DOUBLE_EQ(totals.seconds, 10 * 0.1 + 20 * 0.2);
  EXPECT_DOUBLE_EQ(totals.compute_s, 10 * 0.07 + 20 * 0.2);
  EXPECT_DOUBLE_EQ(totals.communication_s, 10 * 0.02);
  EXPECT_DOUBLE_EQ(totals.data_s, 10 * 0.005);
  EXPECT_NEAR(totals.other_s(), 10 * 0.005, 1e-12);
  EXPECT_DOUBLE_EQ(totals.evaluation_s, 1.5);
  EXPECT_DOUBLE_EQ(totals.peak_rss_bytes, 9);
  EXPECT_FALSE(read.steps[1].loss.has_value());
  ASSERT_EQ(read.evaluations.size(), 1u);
  EXPECT_EQ(read.evaluations[0].others, (core::Named<double>{{"ndcg@10", 0.25}}));
  EXPECT_EQ(read.world_size(), 2);
  EXPECT_EQ(read.adapter_fingerprint, fixture_fingerprint());
}

// Steps 1001 to 1010 are the run's first here: what came before is in the log of another directory.
TEST_F(Directories, ARunThatResumedElsewhereIsOfItsOwnSteps) {
  const auto line = [](std::int64_t step, const std::string& more) {
    return fmt::format(
        "{{\"step\":{},\"epoch\":1,\"loss\":2,{}\"tokens\":5000,\"tokens_per_second\":2000,\"step_ms\":250}}\n", step,
        more);
  };
  const std::string said = "metrics.jsonl begins after step 1000: tokens, time and price are of the steps that it has";
  for (const char* num_steps : {"\"num_steps\":10,", ""}) {  // the latter from an older version: 5000 / 2000 / 0.25
    const std::string name = *num_steps == 0 ? "OLD" : "OUT";
    const Training read = read_training(training(name, line(1010, num_steps) + line(1020, num_steps)), no_options);
    const StepTotals totals = read.totals();
    EXPECT_EQ(totals.num_steps, 20) << name;
    EXPECT_EQ(totals.last_step, 1020) << name;
    EXPECT_DOUBLE_EQ(totals.seconds, 20 * 0.25) << name;
    EXPECT_DOUBLE_EQ(totals.tokens / totals.seconds, 2000) << name;
    EXPECT_NE(std::find(read.notes.begin(), read.notes.end(), said), read.notes.end()) << name;
  }
}

TEST_F(Directories, AFirstLineThatDoesNotSayItsStepsCountsAllOfThemAndSaysSo) {
  const Training read = read_training(training("OUT", kMetrics), no_options);
  EXPECT_NE(std::find(read.notes.begin(), read.notes.end(),
                      "metrics.jsonl does not say of how many steps its first line is: all 10 are counted"),
            read.notes.end());
}

TEST_F(Directories, ALineThatIsBeingWrittenIsLeftOutAndABadOneIsNamed) {
  const fs::path cut = write("CUT/metrics.jsonl", std::string(kMetrics) + "{\"step\":40,\"epo");
  const Training read = read_training(cut, no_options);
  EXPECT_EQ(read.steps.size(), 2u);
  EXPECT_NE(std::find(read.notes.begin(), read.notes.end(), "the last line of metrics.jsonl is cut short and left out"),
            read.notes.end());
  for (const char* line :
       {"{\"step\":40,\"epo\n", "[1]\n", "{\"step\":-1,\"epoch\":0,\"loss\":1}\n", "{\"step\":1.5,\"epoch\":0}\n",
        "{\"epoch\":0}\n", "{\"step\":1,\"epoch\":0,\"loss\":\"4\"}\n", "{\"step\":1,\"epoch\":0,\"num_steps\":-1}\n",
        "{\"step\":1,\"epoch\":0,\"num_steps\":2}\n"}) {
    const fs::path bad = write("BAD/metrics.jsonl", std::string(kMetrics) + line);
    EXPECT_NE(message_of([&] { read_training(bad, no_options); }).find("metrics.jsonl:4"), std::string::npos) << line;
  }
}

TEST_F(Directories, AnEvaluationBelongsToTheTrainingOfItsAdapterAlone) {
  const fs::path out = training("OUT", kMetrics), other = training("OTHER", kMetrics);
  fs::remove(other / "adapter_model.safetensors");
  const fs::path of_adapter = evaluation("EV", fixture_fingerprint()), of_base = evaluation("BASE", std::nullopt);
  evaluation("OTHER", std::string(64, 'a'));  // beside another training
  const Runs runs = read_runs({of_base, other, of_adapter, out}, no_options);
  ASSERT_EQ(runs.runs.size(), 4u);
  EXPECT_EQ(runs.runs[0].label, "BASE");
  EXPECT_FALSE(runs.runs[0].training);
  EXPECT_EQ(runs.runs[1].label, "OTHER");
  EXPECT_TRUE(runs.runs[1].training && runs.runs[1].evaluations.empty());
  EXPECT_EQ(runs.runs[2].label, "OTHER (2)");
  EXPECT_EQ(runs.runs[3].label, "OUT");
  ASSERT_EQ(runs.runs[3].evaluations.size(), 1u);
  EXPECT_EQ(runs.runs[3].evaluations[0].directory, of_adapter);
  ASSERT_EQ(runs.notes.size(), 1u);
  EXPECT_NE(runs.notes[0].find("the training has no adapter yet"), std::string::npos) << runs.notes[0];
}

TEST_F(Directories, AnotherBaseThanTheCheckpointsIsAnotherModel) {
  const fs::path out = training("OUT", kMetrics), of_adapter = evaluation("EV", fixture_fingerprint());
  write("OUT/last/trainer_state.json",
        R"({"identity": {"base_model_fingerprint": "base", "base_model_storage": "dense"}})");
  EXPECT_EQ(read_runs({out, of_adapter}, no_options).runs.size(), 1u);
  write("OUT/last/trainer_state.json",
        R"({"identity": {"base_model_fingerprint": "other", "base_model_storage": "dense"}})");
  EXPECT_EQ(read_runs({out, of_adapter}, no_options).runs.size(), 2u);
  write("OUT/last/trainer_state.json",
        R"({"identity": {"base_model_fingerprint": "base", "base_model_storage": "nf4"}})");
  EXPECT_EQ(read_runs({out, of_adapter}, no_options).runs.size(), 2u);
}

TEST_F(Directories, PredictionsGiveTheCalibrationErrorOfTheDocument) {
  const Evaluated read = read_evaluated(evaluation("EV", std::nullopt));
  EXPECT_TRUE(read.notes.empty());
  ASSERT_EQ(read.claims.size(), 2u);
  EXPECT_EQ(read.catalogue_ranks, (std::vector<double>{1.5}));
  double error = 0;
  for (const eval::ReliabilityBin& bin : eval::reliability_bins(read.claims)) {
    EXPECT_EQ(bin.num_examples, 1);
    EXPECT_LE(bin.low, bin.mean_confidence);
    EXPECT_LE(bin.mean_confidence, bin.high);
    error += 0.5 * std::abs(bin.accuracy - bin.mean_confidence);
  }
  EXPECT_NEAR(error, 0.5 * 0.5 + 0.5 * 0.75, 1e-12);
}

TEST_F(Directories, PredictionsOfAnotherEvaluationAreLeftOut) {
  const fs::path directory = evaluation("EV", std::nullopt);
  write("EV/predictions.jsonl", "{\"index\":0,\"gold\":0,\"log_likelihoods\":[-1,-2]}\n{\"index\":1}\n");
  const Evaluated other = read_evaluated(directory);
  EXPECT_TRUE(other.claims.empty());
  ASSERT_EQ(other.notes.size(), 1u);
  EXPECT_NE(other.notes[0].find("not of this evaluation.json"), std::string::npos);
  // As many, and as well calibrated; only the evaluation itself can tell.
  const fs::path own = evaluation("OWN", std::nullopt);
  core::Json document = core::read_json_file(own / "evaluation.json");
  document["predictions_sha256"] = core::sha256_of_file(own / "predictions.jsonl");
  write("OWN/evaluation.json", document.dump());
  EXPECT_EQ(read_evaluated(own).claims.size(), 2u);
  std::string other_examples = core::read_file(own / "predictions.jsonl");
  other_examples.replace(other_examples.find("\"index\":0"), 9, "\"index\":7");
  write("OWN/predictions.jsonl", other_examples);
  EXPECT_TRUE(read_evaluated(own).claims.empty());
  write("OWN/predictions.jsonl", "no line of this program\n");  // nor is it read
  EXPECT_EQ(read_evaluated(own).notes, other.notes);
  write("OWN/predictions.jsonl", "");
  EXPECT_EQ(read_evaluated(own).notes, other.notes);
  write("EV/predictions.jsonl", "");
  EXPECT_EQ(read_evaluated(directory).notes, (std::vector<std::string>{"predictions.jsonl is empty"}));
  for (const char* line : {"{\"gold\":3,\"log_likelihoods\":[-1,-2]}\n", "{\"log_likelihoods\":[-1]}\n", "3\n",
                           "{\"gold\n", "{\"gold\":0,\"log_likelihoods\":[]}\n", "{\"catalogue_rank\":{}}\n"}) {
    write("EV/predictions.jsonl", line);
    EXPECT_NE(message_of([&] { read_evaluated(directory); }).find("predictions.jsonl:1"), std::string::npos) << line;
  }
  fs::remove(directory / "predictions.jsonl");
  EXPECT_EQ(read_evaluated(directory).notes, (std::vector<std::string>{"predictions.jsonl is missing"}));
}

TEST_F(Directories, OnlyTheSameExamplesStandSideBySide) {
  const Runs runs = read_runs({evaluation("A", std::nullopt), evaluation("B", std::string("adapter")),
                               evaluation("C", std::nullopt, "other data")},
                              no_options);
  const auto groups = data_groups(runs);
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].evaluations.size(), 2u);
  EXPECT_NE(groups[0].title, groups[1].title);
  EXPECT_NE(groups[0].evaluations[0].color, groups[0].evaluations[1].color);
  EXPECT_EQ(groups[0].evaluations[0].color, groups[1].evaluations[0].color);  // one model
}

TEST_F(Directories, TheBestBaselineThatAppliesIsTheMeasure) {
  const auto headlines = headlines_of(read_evaluated(evaluation("A", std::nullopt)).document);
  ASSERT_EQ(headlines.size(), 1u);
  EXPECT_EQ(headlines[0].best_baseline, "chance");
  EXPECT_DOUBLE_EQ(headlines[0].best_baseline_value, 1.0 / 3);
  EXPECT_FALSE(headlines[0].is_clearly_above());  // 1/3 lies above the interval's lower end of 0.2
}

TEST_F(Directories, WhatIsNoRunIsRefused) {
  const fs::path out = training("OUT", kMetrics), empty = write("EMPTY/x", "");
  EXPECT_NE(message_of([&] { read_runs({empty}, no_options); }).find("holds neither a training"), std::string::npos);
  EXPECT_NE(message_of([&] { read_runs({out / "metrics.jsonl"}, no_options); }).find("is not a directory"),
            std::string::npos);
  EXPECT_NE(message_of([&] { read_runs({out, out / "../OUT"}, no_options); }).find("given twice"), std::string::npos);
  EXPECT_NE(message_of([&] { read_runs({}, no_options); }).find("1 to 64 directories"), std::string::npos);
}

// A report is for showing: a link in a directory from elsewhere must not put another file of this machine into it.
TEST_F(Directories, FilesOutsideADirectoryAreNotShown) {
  const fs::path out = training("OUT", kMetrics), of_base = evaluation("EV", std::nullopt);
  write("secret", "password = hunter2\n");
  fs::create_symlink("../secret", out / "config.cfg");
  const std::string config = message_of([&] { read_training(out, no_options); });
  EXPECT_NE(config.find("config.cfg is a link that leads out"), std::string::npos) << config;
  fs::rename(of_base / "evaluation.json", scratch_ / "elsewhere.json");
  fs::create_symlink("../elsewhere.json", of_base / "evaluation.json");
  EXPECT_NE(message_of([&] { read_evaluated(of_base); }).find("evaluation.json is a link that leads out"),
            std::string::npos);
}

TEST(Labels, TakeAsManyPartsAsTellThemApart) {
  EXPECT_EQ(labels_of({"/a/b/OUT", "/a/c/EV"}), (std::vector<std::string>{"OUT", "EV"}));
  EXPECT_EQ(labels_of({"/a/b/OUT", "/a/c/OUT", "/a/c/EV"}), (std::vector<std::string>{"b/OUT", "c/OUT", "c/EV"}));
  EXPECT_EQ(labels_of({"/x/OUT/"}).size(), 1u);
}

}  // namespace
}  // namespace allreco::report
