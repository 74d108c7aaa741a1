// An evaluation as its directory tells it: evaluation.json, and what predictions.jsonl adds.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/json.h"
#include "eval/calibration.h"
#include "eval/document.h"

namespace allreco::report {

struct Evaluated {
  std::filesystem::path directory = {};
  core::Json json = {};  // of the document, for eval::why_not_of
  eval::EvaluationDocument document = {};
  std::int64_t num_predictions = 0;
  std::vector<eval::Claim> claims = {};      // of the lists of candidates, by log_likelihood
  std::vector<double> catalogue_ranks = {};  // mid-ranks
  std::vector<std::string> notes = {};       // what could not be used, and why

  bool has_model() const { return static_cast<bool>(document.model); }
  std::string adapter_fingerprint() const;  // empty: the bare base
};

/// Whether the directory holds an evaluation.json.
bool is_evaluation(const std::filesystem::path& directory);
/// UserError for files that `allreco evaluate` of this version did not write. Predictions that are not of the document
/// are left out unread, and `notes` says so; of a document of an older program, without their checksum, they are read.
Evaluated read_evaluated(const std::filesystem::path& directory);

}  // namespace allreco::report
