// Yes/no answers, as TALLRec evaluates them: the AUC of p(Yes) at the first token in which the answers differ.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/store/dataset.h"
#include "eval/eval_example.h"
#include "eval/ranking.h"

namespace allreco::eval {

struct YesNoReport {
  std::string yes, no;  // the two options, as they are written
  std::int64_t num_examples = 0, num_yes = 0;
  std::optional<double> auc_pooled = {};  // over all pairs of an example with Yes and one with No; none: one kind only
  std::optional<double> auc_per_user = {};  // mean over the users that have both
  std::int64_t num_users_with_both = 0;

  template <class Archive>
  void fields(Archive& a) {
    a("yes", yes);
    a("no", no);
    a("num_examples", num_examples);
    a("num_yes", num_yes);
    a("auc_pooled", auc_pooled);
    a("auc_per_user", auc_per_user);
    a("num_users_with_both", num_users_with_both);
  }
};

/// None unless the candidates of every example that has some are the same two, "yes" and "no" in any case and with any
/// punctuation. p(Yes) = softmax over the tokens at which the two options as answers part, whose ids are thus those
/// that follow the prompt and what both begin with (a lone word mark of SentencePiece). Equal tokens are no such
/// answers.
std::optional<YesNoReport> yes_no_report(std::span<const EvalExample> examples, std::span<const CandidateScores> scores,
                                         const std::vector<data::Item>& catalogue);

}  // namespace allreco::eval
