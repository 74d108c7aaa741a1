// What `doctor` prints: the hosts, the findings, the exchange, the verdict.
#pragma once
#include <string>
#include <vector>

#include "doctor/exchange.h"
#include "doctor/facts.h"
#include "doctor/findings.h"

namespace allreco::doctor {

/// A line for each group of hosts that are alike. The order of `facts` does not matter.
std::string hosts_table(std::vector<RankFacts> facts);
std::string findings_text(const std::vector<Finding>& findings);
std::string exchange_text(const Exchange& exchange, int world_size);

/// Whether something must be fixed.
bool has_errors(const std::vector<Finding>& findings);

}  // namespace allreco::doctor
