// What examples give away of each other: duplicates, answers that stand in prompts, and times.
#pragma once
#include "audit/document.h"
#include "audit/examples.h"
#include "audit/features.h"

namespace allreco::audit {

inline constexpr double kNearThreshold = 0.8;

/// Answers and their shares, learned on one part and tested on another.
BaseRates base_rates(const AuditData& data, const Examples& learned_on, const Examples& tested_on);

/// Validation and test beside train. Near: of the shingles of three words of history and answer.
Duplicates find_duplicates(const AuditData& data);

/// `tested_on` beside the prompts of `learned_on`. Where users are not known, a prompt is taken for one of the same
/// shopper when it holds at least half of the history's shingles.
Visibility find_visible_answers(const AuditData& data, const Examples& learned_on, const Examples& tested_on);

/// None where examples have no times.
core::Part<Times> compare_times(const AuditData& data, const data::DatasetInfo& info, const Examples& learned_on,
                                const Examples& tested_on);

}  // namespace allreco::audit
