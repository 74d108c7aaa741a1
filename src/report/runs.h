// What a report is of: runs, each a model with what is known of its training and its evaluations.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "report/evaluated.h"
#include "report/training.h"

namespace allreco::report {

/// A model: a training with the evaluations of its adapter, or the evaluations of one model whose training was not
/// given.
struct Run {
  std::string label = {};  // different for each
  std::optional<Training> training = {};
  std::vector<Evaluated> evaluations = {};
  std::optional<std::int64_t> base_parameters = {};
  std::vector<std::string> notes = {};
  std::size_t place = 0;  // among the given directories, of its first one
};

struct Runs {
  std::vector<Run> runs;           // in the order in which they were given
  std::vector<std::string> notes;  // of all

  std::int64_t num_trainings() const;
};

inline constexpr std::size_t kMostDirectories = 64;

/// Directories of `train`, of `evaluate`, or of both. An evaluation belongs to a training only when eval::why_not_of
/// finds no reason against it; else it is a run of its own and a note says why. UserError for a directory that holds
/// neither, for one that is given twice, and for files that do not say what they should.
Runs read_runs(const std::vector<std::filesystem::path>& directories, const ParseOptions& parse_options);

/// The names that tell directories apart: as many of their last parts as that takes.
std::vector<std::string> labels_of(const std::vector<std::filesystem::path>& directories);

}  // namespace allreco::report
