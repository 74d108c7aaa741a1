// Controls: a split that is changed so that a sound evaluation must fail on it, or show what it rests on.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "core/options.h"
#include "data/store/dataset.h"
#include "dist/session.h"

namespace allreco::eval {

inline core::Choices control_choices() { return {"none", "shuffled_labels", "blank_history", "rotated_options"}; }

struct ControlOptions {
  std::string control;
  std::string split;
  std::uint64_t seed = 42;
  std::int64_t max_eval_samples = 0;  // the first so many examples; 0: all
  bool ranks_catalogue = false;       // then shuffled_labels draws among all items, and leaves candidates out
};

/// Writes the changed examples as a dataset. shuffled_labels: the right candidate is drawn uniformly; without
/// candidates, or where the catalogue is ranked, the target is, and no candidates are kept: one drawn among four would
/// be the true one too often for chance in the catalogue. blank_history, rotated_options: prompts are rendered again,
/// by the template and the tokenizer of the dataset, without a history, which is then not listed either, or with each
/// candidate one place later (the last one first). none: rendered again as they were. UserError where the dataset does
/// not say what a prompt was made of.
void write_control(const data::Dataset& dataset, const ControlOptions& options, const std::filesystem::path& directory);

/// A control in a directory that goes away with this object.
class ControlDataset {
 public:
  /// Collective: the leader writes, all open. `directory` must be seen by all ranks.
  ControlDataset(dist::Session& session, const data::Dataset& dataset, const ControlOptions& options,
                 std::filesystem::path directory);
  ~ControlDataset();
  ControlDataset(const ControlDataset&) = delete;
  ControlDataset& operator=(const ControlDataset&) = delete;

  const data::Dataset& dataset() const { return *dataset_; }

 private:
  std::filesystem::path directory_;
  bool is_leader_;
  std::unique_ptr<data::Dataset> dataset_;
};

}  // namespace allreco::eval
