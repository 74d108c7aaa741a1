// How far rules come that need no model, learned on one part of the examples and tested on another.
#pragma once
#include "audit/combination.h"
#include "audit/document.h"
#include "audit/features.h"

namespace allreco::audit {

/// A difference of two accuracies on the same examples, with the standard error over clusters (users).
struct Difference {
  double mean = 0, standard_error = 0;
};
Difference paired_difference(const std::vector<double>& a, const std::vector<double>& b,
                             const eval::Clusters& clusters);

struct RuleResults {
  OptionsReport report;
  // What verdicts weigh; each beside the better of chance and popularity.
  std::string best_surface_rule;
  Difference surface_above_reference, combination_above_reference, popularity_above_chance;
};

/// Examples without options are left out. None where no tested example has any.
core::Part<RuleResults> measure_rules(const AuditData& data, const Parts& parts,
                                      const eval::BootstrapOptions& bootstrap);

}  // namespace allreco::audit
