// What is no mean over examples: how lists of recommendations look as a whole, and AUC.
#pragma once
#include <vector>

#include "report/data_groups.h"
#include "report/table.h"

namespace allreco::report {

/// Of every scorer of the whole catalogue: coverage, novelty and popularity of the ten best items of all examples.
Table recommended_table(const std::vector<DataGroup>& groups);

/// AUC of the scores of candidates, within users and across all examples, and of yes/no answers.
Table auc_table(const std::vector<DataGroup>& groups);

}  // namespace allreco::report
