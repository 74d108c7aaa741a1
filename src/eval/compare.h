// Two evaluations of the same examples, paired: by how much one is better, and whether that is luck.
#pragma once
#include <filesystem>
#include <string>

#include "eval/document.h"

namespace allreco::eval {

/// One metric of both. Differences are B - A.
struct PairedMetric {
  std::string metric = {};
  std::int64_t num_examples = 0;
  double a = 0, b = 0;
  Estimate difference = {};
  /// Examples where one of them has the higher value, and the exact two-sided p that both are as likely: McNemar's test
  /// where all values are 0 or 1, else (ndcg, mrr, ties that count by expectation) the sign test.
  std::int64_t num_a_better = 0, num_b_better = 0;
  double p_mcnemar = 1;  // of either test
  std::string test = {};

  template <class Archive>
  void fields(Archive& archive) {
    archive("metric", metric);
    archive("num_examples", num_examples);
    archive("a", a);
    archive("b", b);
    archive("difference", difference);
    archive("num_a_better", num_a_better);
    archive("num_b_better", num_b_better);
    archive("p_mcnemar", p_mcnemar);
    archive("test", test);
  }
};

struct Comparison {
  std::string a = {}, b = {};                          // directories
  std::string a_control = "none", b_control = "none";  // how their examples were changed
  std::string dataset_fingerprint = {}, split = {};
  std::string resampled = {};  // users, or examples
  std::vector<PairedMetric> metrics = {};

  template <class Archive>
  void fields(Archive& archive) {
    archive("a", a);
    archive("b", b);
    archive("a_control", a_control);
    archive("b_control", b_control);
    archive("dataset_fingerprint", dataset_fingerprint);
    archive("split", split);
    archive("resampled", resampled);
    archive("metrics", metrics);
  }
};

/// Of two directories that evaluate wrote. Every metric that both have of the same examples: of candidates, of the
/// whole catalogue, of generated answers. A control is of the examples that it was made of. UserError when they are not
/// of the same dataset, split and examples, or have no metric in common.
Comparison compare(const std::filesystem::path& a, const std::filesystem::path& b, const BootstrapOptions& bootstrap);

std::string comparison_table(const Comparison& comparison);

/// The exact two-sided p of McNemar's test, and of the sign test: so many examples that only one of two is right on,
/// each equally likely to be either's.
double mcnemar_p(std::int64_t num_a_better, std::int64_t num_b_better);

}  // namespace allreco::eval
