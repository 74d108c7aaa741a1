#include "report/evaluated.h"

#include <cmath>
#include <utility>

#include "core/check.h"
#include "core/input_file.h"
#include "data/input/line_reader.h"
#include "eval/metrics.h"
#include "model/checkpoint/model_directory.h"

namespace allreco::report {
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kLargestEvaluation = std::uint64_t{64} << 20;
constexpr std::int64_t kMostPredictions = 20'000'000;

struct Rank {
  double mid = 0;
  template <class Archive>
  void fields(Archive& a) {
    a("mid", mid);
  }
};

/// What predictions.jsonl says of one example.
struct Prediction {
  std::optional<std::vector<double>> log_likelihoods = {};
  std::optional<std::int64_t> gold = {};
  std::optional<Rank> catalogue_rank = {};

  template <class Archive>
  void fields(Archive& a) {
    a("log_likelihoods", log_likelihoods);
    a("gold", gold);
    a("catalogue_rank", catalogue_rank);
  }
};

eval::Claim claim_of(const std::vector<double>& scores, std::size_t gold) {
  const std::vector<double> p = eval::softmax(scores);
  return {p[eval::argmax(p)], eval::hit_rate(eval::ranks_of(scores, gold), 1)};
}

void add_prediction(Evaluated& evaluated, const Prediction& prediction, const std::string& where) {
  if (prediction.log_likelihoods) {
    const std::int64_t gold = prediction.gold.value_or(-1);
    if (gold < 0 || static_cast<std::size_t>(gold) >= prediction.log_likelihoods->size())
      core::user_error("{}: gold must be the place of one of the {} log_likelihoods, found {}", where,
                       prediction.log_likelihoods->size(), gold);
    evaluated.claims.push_back(claim_of(*prediction.log_likelihoods, static_cast<std::size_t>(gold)));
  }
  if (prediction.catalogue_rank) evaluated.catalogue_ranks.push_back(prediction.catalogue_rank->mid);
  ++evaluated.num_predictions;
}

void read_lines(Evaluated& evaluated, const fs::path& path) {
  data::LineReader lines(path);
  std::string line;
  while (lines.next(line)) {
    const std::string where = fmt::format("{}:{}", path.string(), lines.line_number());
    add_prediction(evaluated, core::from_json<Prediction>(core::parse_json(line, where), where), where);
    if (evaluated.num_predictions > kMostPredictions)
      core::user_error("{} has more than {} lines: more than a report reads", path.string(), kMostPredictions);
  }
}

/// The number of examples, and the calibration error that both files know, must agree.
bool agree_with_the_document(const Evaluated& evaluated) {
  const eval::EvaluationDocument& document = evaluated.document;
  if (evaluated.num_predictions != document.dataset.num_examples_evaluated) return false;
  if (!document.candidates || evaluated.claims.empty()) return true;
  const auto* scores = core::find(document.candidates->scores, "log_likelihood");
  constexpr double kRounding = 1e-9;  // of sums of shares, in another order at most
  return !scores ||
         std::abs(eval::expected_calibration_error(evaluated.claims) - scores->ece_15_equal_width_bins) < kRounding;
}

/// What another evaluation wrote is not parsed, whatever it holds.
void read_predictions(Evaluated& evaluated) {
  const fs::path path = evaluated.directory / "predictions.jsonl";
  const auto leave_out = [&](const char* why) {
    evaluated.claims.clear();
    evaluated.catalogue_ranks.clear();
    evaluated.notes.emplace_back(why);
  };
  constexpr const char* kForeign = "predictions.jsonl is not of this evaluation.json and is left out";
  if (!fs::exists(path)) return leave_out("predictions.jsonl is missing");
  if (!eval::are_of(evaluated.document, evaluated.directory)) return leave_out(kForeign);
  read_lines(evaluated, path);
  if (evaluated.num_predictions == 0) return leave_out("predictions.jsonl is empty");
  if (!agree_with_the_document(evaluated)) leave_out(kForeign);
}

}  // namespace

std::string Evaluated::adapter_fingerprint() const {
  return has_model() ? document.model->adapter_fingerprint.value_or("") : "";
}

bool is_evaluation(const fs::path& directory) { return fs::exists(directory / "evaluation.json"); }

Evaluated read_evaluated(const fs::path& directory) {
  const fs::path path = directory / "evaluation.json";
  model::require_own_file(path, directory);  // its texts are shown
  if (const std::uint64_t size = core::InputFile(path).size(); size > kLargestEvaluation)
    core::user_error("{} has {} bytes, and at most {} are read of an evaluation", path.string(), size,
                     kLargestEvaluation);
  core::Json json = core::read_json_file(path);
  eval::EvaluationDocument document = eval::evaluation_of(json, path.string());
  Evaluated evaluated{.directory = directory, .json = std::move(json), .document = std::move(document)};
  read_predictions(evaluated);
  return evaluated;
}

}  // namespace allreco::report
