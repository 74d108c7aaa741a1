// audit: what a dataset gives away before a model is trained on it.
#pragma once
#include <cstdint>
#include <string>

#include "audit/document.h"
#include "audit/examples.h"
#include "core/options.h"

namespace allreco::audit {

struct AuditConfig {
  std::string dataset;
  std::string output_dir;
  std::string option_pattern;
  std::int64_t max_examples = 100'000;
  std::int64_t bootstrap_samples = 1000;
  std::uint64_t seed = 42;
  bool strict = false;

  core::OptionGroups options() {
    return {
        {"Audit",
         {{"dataset", dataset, "A dataset directory that `allreco prepare` wrote; also the first argument."},
          {"output_dir", output_dir, "Where audit.json goes; a former one is replaced. Empty: only the table."},
          {"option_pattern", option_pattern,
           "How prompts show their options, as a regular expression: each group of its first match is an option, or "
           "with one group each match. Empty: the examples' candidates, else what stands behind the template's "
           "labels, such as A), B)."},
          {"max_examples", max_examples, core::between(0, 1e9),
           "Examples of each split to look at, evenly spread; 0: all."},
          {"bootstrap_samples", bootstrap_samples, core::between(1000, 1e6),
           "Resamples of shoppers behind each interval."},
          {"seed", seed, "Seed of the bootstrap."},
          {"strict", strict, "End with exit code 3 when there is a warning."}}}};
  }
};

/// Reads the dataset, measures and judges. UserError for what is no dataset.
AuditDocument audit(const AuditConfig& config);

/// The same of data in memory. Rules are learned on train and tested on test, else on validation; where there is one
/// split only, on three fifths of its shoppers and the others. `info.json` says how the split was made.
AuditDocument audit(const AuditData& data, const data::DatasetInfo& info, const AuditConfig& config);

}  // namespace allreco::audit
