#include "eval/yes_no.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>

#include "eval/metrics.h"

namespace allreco::eval {

namespace {

/// Its ASCII letters in lower case.
std::string letters_of(const std::string& text) {
  std::string letters;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalpha(byte)) letters.push_back(static_cast<char>(std::tolower(byte)));
  }
  return letters;
}

/// Examples of one user, or of all: the odds of Yes, and whether it is right.
struct Pool {
  std::vector<double> log_odds;
  std::vector<bool> is_yes;

  std::optional<double> auc() const {
    const double value = pooled_auc(log_odds, is_yes);
    return std::isnan(value) ? std::nullopt : std::optional(value);
  }
};

/// The items that say yes and no; none: these are other candidates.
struct Options {
  std::uint32_t yes = 0, no = 0;
};

std::optional<Options> options_of(std::span<const EvalExample> examples, const std::vector<data::Item>& catalogue) {
  std::optional<Options> options;
  for (const EvalExample& example : examples) {
    if (example.candidates.empty()) continue;
    if (example.candidates.size() != 2) return std::nullopt;
    const std::uint32_t a = example.candidates[0], b = example.candidates[1];
    if (!options) {
      const bool a_is_yes = letters_of(catalogue[a].title) == "yes";
      options = a_is_yes ? Options{a, b} : Options{b, a};
      if (letters_of(catalogue[options->yes].title) != "yes" || letters_of(catalogue[options->no].title) != "no" ||
          catalogue[a].tokens == catalogue[b].tokens)
        return std::nullopt;
    }
    if (std::minmax(a, b) != std::minmax(options->yes, options->no)) return std::nullopt;
  }
  return options;
}

}  // namespace

std::optional<YesNoReport> yes_no_report(std::span<const EvalExample> examples, std::span<const CandidateScores> scores,
                                         const std::vector<data::Item>& catalogue) {
  const std::optional<Options> options = options_of(examples, catalogue);
  if (!options) return std::nullopt;
  YesNoReport report{.yes = catalogue[options->yes].title, .no = catalogue[options->no].title};
  Pool all;
  std::map<std::uint64_t, Pool> by_user;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    if (examples[i].candidates.empty()) continue;
    const std::size_t yes = examples[i].candidates[0] == options->yes ? 0 : 1;
    const double log_odds = scores[i].parting_token[yes] - scores[i].parting_token[1 - yes];  // rises with p(Yes)
    const bool is_yes = examples[i].gold == yes;
    all.log_odds.push_back(log_odds);
    all.is_yes.push_back(is_yes);
    if (!examples[i].user) continue;
    by_user[*examples[i].user].log_odds.push_back(log_odds);
    by_user[*examples[i].user].is_yes.push_back(is_yes);
  }
  report.num_examples = std::ssize(all.log_odds);
  report.num_yes = std::count(all.is_yes.begin(), all.is_yes.end(), true);
  report.auc_pooled = all.auc();
  double sum = 0;
  for (const auto& [user, pool] : by_user) {
    if (const std::optional<double> auc = pool.auc()) {
      sum += *auc;
      ++report.num_users_with_both;
    }
  }
  if (report.num_users_with_both > 0) report.auc_per_user = sum / static_cast<double>(report.num_users_with_both);
  return report;
}

}  // namespace allreco::eval
