#include "train/replica_check.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "core/check.h"
#include "core/host.h"
#include "core/json.h"

namespace allreco::train {
namespace {

constexpr std::int64_t kPart = 1 << 18;  // elements: their int64 forms stay in a cache

}  // namespace

// sum of bits(x_i) (2 i + 1), modulo 2^64: an odd factor has an inverse there, so no difference of one element
// vanishes.
std::int64_t checksum_of_bits(const at::Tensor& flat) {
  const at::Tensor bits = flat.view(flat.scalar_type() == at::kDouble ? at::kLong : at::kInt);
  const auto integers = bits.options().dtype(at::kLong);
  at::Tensor sum = at::zeros({}, integers);
  const at::Tensor odd = at::arange(1, 2 * std::min(kPart, bits.numel()) + 1, 2, integers);
  for (std::int64_t begin = 0; begin < bits.numel(); begin += kPart) {
    const at::Tensor part = bits.narrow(0, begin, std::min(kPart, bits.numel() - begin)).to(at::kLong);
    const at::Tensor factors = odd.narrow(0, 0, part.numel());
    sum.add_(part.mul(factors).sum()).add_(part.sum(), 2 * begin);
  }
  return sum.item<std::int64_t>();
}

std::string name_odd_replicas(const std::vector<Replica>& replicas) {
  std::map<std::int64_t, std::vector<size_t>> ranks_with;
  for (size_t rank = 0; rank < replicas.size(); ++rank) ranks_with[replicas[rank].checksum].push_back(rank);
  const auto most = std::max_element(ranks_with.begin(), ranks_with.end(), [](const auto& a, const auto& b) {
    return a.second.size() != b.second.size() ? a.second.size() < b.second.size() : a.second[0] > b.second[0];
  });
  std::string odd;
  for (size_t rank = 0; rank < replicas.size(); ++rank) {
    if (replicas[rank].checksum == most->first) continue;
    odd += fmt::format("{}rank {} on {}", odd.empty() ? "" : ", ", rank, replicas[rank].host);
  }
  return odd;
}

void require_same_replicas(dist::Session& session, const at::Tensor& parameters, std::int64_t step,
                           std::int64_t last_step) {
  session.enter_phase(step, "comparing the replicas");
  const core::Json mine{checksum_of_bits(parameters), core::host_name()};
  std::vector<Replica> replicas;
  for (const std::string& text : session.all_gather(mine.dump())) {
    const core::Json json = core::Json::parse(text);
    replicas.push_back({json[0].get<std::int64_t>(), json[1].get<std::string>()});
  }
  const std::string odd = name_odd_replicas(replicas);
  if (odd.empty()) return;
  core::fault(
      "after step {} the LoRA parameters are not the same on all ranks: {} differs from the others "
      "(replica_check_steps). That is a fault of memory, GPU or network there: look for ECC and Xid errors (nvidia-smi "
      "-q -d ECC, dmesg). The gradients since step {} are in doubt: resume from a checkpoint up to it, without that "
      "node",
      step, odd, last_step);
}

}  // namespace allreco::train
