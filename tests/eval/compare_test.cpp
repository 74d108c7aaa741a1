// Paired comparison: against itself, against answers counted by hand, and against what is no pair.
#include "eval/compare.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <optional>

#include "core/check.h"
#include "core/files.h"
#include "eval/small_world.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::eval {
namespace {

using core::Json;

/// An evaluation whose exact matches are `right`; two examples a user. `control_of`: of a control of that dataset.
void write_answers(const std::filesystem::path& directory, const std::vector<bool>& right,
                   const std::string& fingerprint = "f", const std::optional<std::string>& control_of = {}) {
  EvaluationDocument document;
  document.dataset = {.fingerprint = fingerprint, .split = "test", .control_of = control_of, .num_users = 2};
  if (control_of) document.dataset.control = "rotated_options";
  document.dataset.num_examples_evaluated = std::ssize(right);
  core::make_directory(directory);
  core::write_json_file(directory / "evaluation.json", core::json_of(document));
  std::string lines;
  for (std::size_t i = 0; i < right.size(); ++i)
    lines += Json{{"index", i}, {"user", i / 2}, {"exact_match", bool{right[i]}}}.dump() + "\n";
  core::write_file_atomically(directory / "predictions.jsonl", lines);
}

/// An evaluation whose bought items have these ranks among all items.
void write_ranks(const std::filesystem::path& directory, const CatalogueReport& task,
                 const std::vector<std::int64_t>& ranks) {
  EvaluationDocument document;
  document.dataset = {.fingerprint = "f", .split = "test", .num_users = 0};
  document.dataset.num_examples_evaluated = std::ssize(ranks);
  document.catalogue.value = task;
  core::make_directory(directory);
  core::write_json_file(directory / "evaluation.json", core::json_of(document));
  std::string lines;
  for (std::size_t i = 0; i < ranks.size(); ++i)
    lines +=
        Json{{"index", i}, {"catalogue_rank", {{"optimistic", ranks[i]}, {"pessimistic", ranks[i]}}}}.dump() + "\n";
  core::write_file_atomically(directory / "predictions.jsonl", lines);
}

std::vector<std::string> names_of(const Comparison& comparison) {
  std::vector<std::string> names;
  for (const PairedMetric& metric : comparison.metrics) names.push_back(metric.metric);
  return names;
}

TEST(Compare, RanksOfAnotherSearchAreNoPair) {
  const support::TemporaryDirectory scratch;
  const auto task = [](const char* ranking, std::int64_t num_beams, const char* history_items) {
    return CatalogueReport{.ranking = ranking, .num_beams = num_beams, .history_items = history_items};
  };
  write_ranks(scratch / "whole", task("exhaustive", 0, "rank"), {1, 5, 30});
  write_ranks(scratch / "beam", task("beam", 20, "rank"), {1, 5, 30});
  write_ranks(scratch / "beam5", task("beam", 5, "rank"), {1, 5, 30});
  write_ranks(scratch / "without", task("exhaustive", 0, "exclude"), {1, 5, 30});
  const auto said = [&](const char* a, const char* b) {
    return support::message_of([&] { compare(scratch / a, scratch / b, {1000, 1}); });
  };
  EXPECT_NE(
      said("whole", "beam").find("ranking of the catalogue is exhaustive in the first and beam of 20 in the second"),
      std::string::npos)
      << said("whole", "beam");
  EXPECT_NE(said("beam5", "beam").find("is beam of 5 in the first and beam of 20"), std::string::npos);
  EXPECT_NE(said("whole", "without").find("history_items is rank in the first and exclude"), std::string::npos);

  const std::vector<std::string> all{"catalogue accuracy", "catalogue hit_rate@10", "catalogue mrr",
                                     "catalogue ndcg@10"};
  EXPECT_EQ(names_of(compare(scratch / "whole", scratch / "whole", {1000, 1})), all);
  EXPECT_EQ(names_of(compare(scratch / "beam", scratch / "beam", {1000, 1})), all);
  const Comparison whole = compare(scratch / "whole", scratch / "whole", {1000, 1});
  EXPECT_EQ(whole.metrics.at(0).test, "McNemar");  // ranks without ties
  EXPECT_EQ(whole.metrics.at(2).test, "sign test");
  EXPECT_NE(comparison_table(whole).find("sign test"), std::string::npos);
  // Ten ranks behind five beams are a tie of all other items.
  EXPECT_EQ(names_of(compare(scratch / "beam5", scratch / "beam5", {1000, 1})),
            (std::vector<std::string>{"catalogue accuracy", "catalogue mrr"}));
}

TEST(Compare, PairsAreCountedByHand) {
  const support::TemporaryDirectory scratch;
  write_answers(scratch / "A", {true, true, false, false, true, false});
  write_answers(scratch / "B", {true, false, true, true, true, true});
  const Comparison comparison = compare(scratch / "A", scratch / "B", {1000, 1});
  ASSERT_EQ(comparison.metrics.size(), 1u);
  const PairedMetric& metric = comparison.metrics[0];
  EXPECT_EQ(metric.num_a_better, 1);
  EXPECT_EQ(metric.num_b_better, 3);
  EXPECT_DOUBLE_EQ(metric.difference.value, 2.0 / 6);
  EXPECT_DOUBLE_EQ(metric.p_mcnemar, 2 * (1 + 4) / 16.0);  // one or none of four fair coins, both ways
  EXPECT_EQ(metric.test, "McNemar");
  // Users' differences are -1, 2 and 1 of two examples each: no resample leaves -1/2 to 1.
  EXPECT_GE(metric.difference.bootstrap_95.low, -0.5);
  EXPECT_LE(metric.difference.bootstrap_95.high, 1.0);
  EXPECT_LT(metric.difference.bootstrap_95.low, 2.0 / 6);
}

TEST(Compare, WithItselfIsExactlyNothing) {
  const support::TemporaryDirectory scratch;
  write_answers(scratch / "A", {true, true, false, false, true, false});
  const PairedMetric metric = compare(scratch / "A", scratch / "A", {1000, 1}).metrics.at(0);
  EXPECT_EQ(metric.difference.value, 0.0);
  EXPECT_EQ(metric.difference.bootstrap_95.low, 0.0);
  EXPECT_EQ(metric.difference.bootstrap_95.high, 0.0);
  EXPECT_EQ(metric.p_mcnemar, 1.0);
}

TEST(Compare, AControlIsPairedWithWhatItWasMadeOf) {
  const support::TemporaryDirectory scratch;
  write_answers(scratch / "A", {true, true, false});
  write_answers(scratch / "rotated", {true, false, false}, "g", "f");
  write_answers(scratch / "of another", {true, false, false}, "g", "h");
  const Comparison comparison = compare(scratch / "A", scratch / "rotated", {1000, 1});
  EXPECT_EQ(comparison.metrics.at(0).num_a_better, 1);
  EXPECT_NE(comparison_table(comparison).find("(control: rotated_options)"), std::string::npos);
  EXPECT_THROW(compare(scratch / "A", scratch / "of another", {1000, 1}), core::UserError);
}

// A tie of four thousand million ranks in seventy bytes: it must cost no more than another.
TEST(Compare, HugeRanksTakeNoTime) {
  const support::TemporaryDirectory scratch;
  write_answers(scratch / "A", {true});
  core::write_file_atomically(
      scratch / "A/predictions.jsonl",
      Json{{"index", 0}, {"catalogue_rank", {{"optimistic", 1}, {"pessimistic", std::int64_t{1} << 32}}}}.dump() +
          "\n");
  const Comparison comparison = compare(scratch / "A", scratch / "A", {1000, 1});
  EXPECT_EQ(comparison.metrics.at(0).metric, "catalogue accuracy");
  EXPECT_EQ(comparison.metrics.at(0).test, "sign test");  // a tie is neither right nor wrong
  const PairedMetric mrr = comparison.metrics.at(2);      // by name
  EXPECT_EQ(mrr.metric, "catalogue mrr");
  EXPECT_NEAR(mrr.a, (32 * std::numbers::ln2 + std::numbers::egamma) / std::pow(2.0, 32),
              1e-19);  // H(n) = ln n + gamma
}

TEST(Compare, RefusesWhatIsNoPair) {
  const support::TemporaryDirectory scratch;
  write_answers(scratch / "A", {true, true, false});
  write_answers(scratch / "other", {true, true, false}, "g");
  write_answers(scratch / "shorter", {true, true});
  for (const char* name : {"other", "shorter", "missing"})
    EXPECT_THROW(compare(scratch / "A", scratch / name, {1000, 1}), core::UserError) << name;
  core::write_file_atomically(scratch / "shorter" / "predictions.jsonl", "[1]\n");
  EXPECT_THROW(compare(scratch / "shorter", scratch / "shorter", {1000, 1}), core::UserError);
}

// An evaluation that is replaced and stopped half-way, or predictions put there by hand: the pairs would be of two
// evaluations.
TEST(Compare, RefusesPredictionsOfAnotherEvaluation) {
  const support::TemporaryDirectory scratch;
  write_answers(scratch / "A", {true, true, false});
  write_answers(scratch / "B", {true, false, false});
  Json document = core::read_json_file(scratch / "B/evaluation.json");
  document["predictions_sha256"] = core::sha256_of_file(scratch / "B/predictions.jsonl");
  core::write_json_file(scratch / "B/evaluation.json", document);
  EXPECT_EQ(compare(scratch / "A", scratch / "B", {1000, 1}).metrics.size(), 1u);
  std::filesystem::copy_file(scratch / "A/predictions.jsonl", scratch / "B/predictions.jsonl",
                             std::filesystem::copy_options::overwrite_existing);
  const std::string said = support::message_of([&] { compare(scratch / "A", scratch / "B", {1000, 1}); });
  EXPECT_NE(said.find("B/predictions.jsonl is not of the evaluation.json beside it"), std::string::npos) << said;

  write_answers(scratch / "fewer", {true, true, false});
  core::write_file_atomically(scratch / "fewer/predictions.jsonl", "");
  EXPECT_THROW(compare(scratch / "fewer", scratch / "fewer", {1000, 1}), core::UserError);
}

/// Binomial coefficients as whole numbers.
TEST(Compare, McNemarIsTheBinomialTail) {
  for (std::int64_t n = 0; n <= 40; ++n) {
    std::vector<double> choose{1};
    for (std::int64_t k = 1; k <= n; ++k)
      choose.push_back(choose.back() * static_cast<double>(n - k + 1) / static_cast<double>(k));
    for (std::int64_t a = 0; a <= n; ++a) {
      double tail = 0;
      for (std::int64_t k = 0; k <= std::min(a, n - a); ++k) tail += choose[static_cast<std::size_t>(k)];
      const double expected = std::min(1.0, 2 * tail / std::pow(2.0, static_cast<double>(n)));
      EXPECT_NEAR(mcnemar_p(a, n - a), expected, 1e-12 * static_cast<double>(n + 1));  // 40 rounded logarithms
    }
  }
}

}  // namespace
}  // namespace allreco::eval
