// What the numbers mean, in words, each with the threshold that it was held against.
#pragma once
#include "audit/document.h"
#include "audit/rules.h"

namespace allreco::audit {

// docs/audit.md says why these.
inline constexpr double kRuleMargin = 0.03;        // of accuracy above the better of chance and popularity
inline constexpr double kPopularityMargin = 0.10;  // of accuracy above chance
inline constexpr double kSigmas = 3.5;             // by which a difference must lie above 0
inline constexpr double kMajority = 0.50;
inline constexpr double kVisible = 0.05;  // of tested examples
inline constexpr double kDuplicates = 0.01;
inline constexpr double kTied = 0.50;

/// Of everything in the document; sets verdicts and num_warnings.
void judge(AuditDocument& document, const core::Part<RuleResults>& rules);

}  // namespace allreco::audit
