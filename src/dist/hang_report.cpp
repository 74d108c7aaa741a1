#include "dist/hang_report.h"

#include <fmt/format.h>

#include <algorithm>

namespace allreco::dist {
namespace {

using WaitsFor = ControlMessage::WaitsFor;

constexpr size_t kMaxNamed = 8;  // ranks named in one message

std::string name_of(const Hang& hang, int rank) {
  return fmt::format("rank {} on {}", rank, hang.hosts[static_cast<size_t>(rank)]);
}

std::vector<int> missing_ranks(const Hang& hang) {
  std::vector<int> missing;
  for (int rank = 0; rank < std::ssize(hang.hosts); ++rank) {
    const auto found = hang.answers.find(rank);
    if (found == hang.answers.end() || found->second.waits_for != WaitsFor::ranks) missing.push_back(rank);
  }
  return missing;
}

std::string describe_missing(const Hang& hang, int rank) {
  const std::string name = name_of(hang, rank);
  if (const auto answered = hang.answers.find(rank); answered != hang.answers.end()) {
    const ControlMessage& at = answered->second;
    const double seconds = hang.now - at.phase_since;
    if (at.waits_for != WaitsFor::own_gpu)
      return fmt::format("{} is alive but busy for {:.1f} s in step {}, phase {}", name, seconds, at.step, at.phase);
    return fmt::format("{} waits for its own GPU, which has not come to {}, for {:.1f} s in step {}, phase {}", name,
                       at.operation, seconds, at.step, at.phase);
  }
  const auto seen = hang.last_seen.find(rank);
  if (seen == hang.last_seen.end()) return name + " does not answer and was never heard of";
  return fmt::format("{} does not answer, last heard of {:.1f} s ago entering step {}, phase {}", name,
                     hang.now - seen->second.phase_since, seen->second.step, seen->second.phase);
}

std::string describe_mismatch(const Hang& hang, bool same_number) {
  std::map<std::string, std::vector<int>> ranks_in;
  for (const auto& [rank, at] : hang.answers)
    ranks_in[fmt::format("{} (collective {}, step {}, phase {})", at.operation, at.num_calls, at.step, at.phase)]
        .push_back(rank);
  std::string text =
      fmt::format("no rank is missing, but they wait in different collectives ({}): ",
                  same_number ? "a defect in the program"
                              : "those behind are stuck in MPI, NCCL or the network, or it is a defect in the program");
  for (const auto& [place, ranks] : ranks_in)
    text += fmt::format("{} of {} ranks in {}, the first being {}; ", ranks.size(), hang.hosts.size(), place,
                        name_of(hang, ranks.front()));
  return text.substr(0, text.size() - 2);
}

// Everyone waits: in one collective, then what carries it hangs; else the order of collectives differs between ranks,
// or what carries them has let go only some.
std::string describe_stuck(const Hang& hang) {
  const ControlMessage& here = hang.answers.at(hang.rank);
  const auto all = [&](auto holds) { return std::all_of(hang.answers.begin(), hang.answers.end(), holds); };
  const bool same_number = all([&](const auto& answer) { return answer.second.num_calls == here.num_calls; });
  const bool same_operation =
      all([&](const auto& answer) { return std::string_view(answer.second.operation) == here.operation; });
  if (!same_number || !same_operation) return describe_mismatch(hang, same_number);
  return fmt::format(
      "no rank is missing: all {} ranks wait in the same collective (number {}), so {}. See docs/distributed.md, \"A "
      "hang\"",
      hang.hosts.size(), here.num_calls, hang.if_all_wait);
}

}  // namespace

std::string describe(const Hang& hang) {
  const ControlMessage& here = hang.answers.at(hang.rank);
  std::string text = fmt::format("{} (step {}, phase {}) waited longer than {:g} s: ", hang.operation, here.step,
                                 here.phase, hang.timeout_seconds);
  const std::vector<int> missing = missing_ranks(hang);
  if (missing.empty()) return text + describe_stuck(hang);
  text += fmt::format("{} of {} ranks missing", missing.size(), hang.hosts.size());
  for (size_t i = 0; i < std::min(missing.size(), kMaxNamed); ++i) text += "; " + describe_missing(hang, missing[i]);
  if (missing.size() > kMaxNamed) text += fmt::format("; and {} more", missing.size() - kMaxNamed);
  return text + ". If this only needed longer, raise ddp_timeout; otherwise see docs/distributed.md, \"A hang\"";
}

}  // namespace allreco::dist
