// The part of evaluation.json about the whole catalogue: how the model and the baselines rank what was bought among all
// items.
#pragma once
#include <span>
#include <vector>

#include "eval/baselines/item_baseline.h"
#include "eval/catalogue.h"
#include "eval/document.h"

namespace allreco::eval {

/// The examples whose target is known, and how all the scorers' ranks become numbers.
struct CatalogueTask {
  std::span<const EvalExample> examples;
  const std::vector<data::Item>& catalogue;
  const CatalogueOptions& options;
  const BootstrapOptions& bootstrap;
};

/// REQUIRES `ranking` without not_applicable; its `kinds` may be empty (no model).
CatalogueReport catalogue_report(const CatalogueTask& task, const CatalogueRanking& ranking,
                                 const std::vector<ItemBaseline>& baselines, const TrainSequences& train);

/// The ranks of a baseline, as those of a kind of `ranking`.
std::vector<CatalogueRank> ranks_of_baseline(const CatalogueTask& task, const CatalogueRanking& ranking,
                                             const ItemBaseline& baseline);

}  // namespace allreco::eval
