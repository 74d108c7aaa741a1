// What a user should know of a dataset before training on it. Internal to prepare.
#pragma once
#include <string>
#include <vector>

#include "core/json.h"

namespace allreco::data {

/// Of what a source says in dataset.json: one reason that took 99 % or more of the rows, reviews or examples that it
/// was shown, and splits in which 99 % or more of the targets have the time of the item before them. A sentence each.
std::vector<std::string> closing_notices(const core::Json& description);

}  // namespace allreco::data
