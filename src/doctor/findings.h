// What the facts of all ranks mean: pure functions, so every case is tested without the machine that has it.
#pragma once
#include <string>
#include <vector>

#include "doctor/facts.h"

namespace allreco::doctor {

struct Finding {
  enum class Level { ok, warning, error };  // error: something must be fixed before this can work
  Level level = Level::ok;
  std::string subject;  // "MPI", "/dev/shm", ...
  std::string where;    // hosts or ranks; empty: everywhere alike
  std::string found;
  std::string what_to_do;  // empty for ok
};

/// In the order errors, warnings, ok; equal findings of several hosts are one. The order of `facts` does not matter.
/// REQUIRES at least one rank.
std::vector<Finding> judge(std::vector<RankFacts> facts);

/// By topic, each over ranks in order of rank. Parts of judge().
using Findings = std::vector<Finding>;
void judge_programs(const std::vector<RankFacts>& facts, Findings& findings);
void judge_cores(const std::vector<RankFacts>& facts, Findings& findings);
void judge_memory(const std::vector<RankFacts>& facts, Findings& findings);
void judge_network(const std::vector<RankFacts>& facts, Findings& findings);
void judge_topology(const std::vector<RankFacts>& facts, Findings& findings);
void judge_gpus(const std::vector<RankFacts>& facts, Findings& findings);
void judge_paths(const std::vector<RankFacts>& facts, Findings& findings);

/// The ranks of each host, hosts in the order of their lowest rank. Containers of one machine are hosts of their own,
/// those of one name on several machines too.
std::vector<std::vector<RankFacts>> by_host(const std::vector<RankFacts>& facts);

/// "1.5 GiB"
std::string bytes_text(std::int64_t bytes);

}  // namespace allreco::doctor
