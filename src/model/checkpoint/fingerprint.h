// A short identity of a frozen base model: cheap to compute, and different for any two models one could mistake for
// another.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "model/checkpoint/safetensors.h"
#include "model/families/config.h"

namespace allreco::model {

/// SHA-256 over to_json(config) and, for every tensor by name: dtype, shape, and its bytes - all of them up to 64 KiB,
/// else 16 blocks of 4 KiB spread evenly from first to last. It does not depend on file names, sharding, dates or the
/// compute dtype. It tells apart models of another shape or training; it is no proof against someone who changes single
/// weights on purpose.
std::string fingerprint_of(const ModelConfig& config, const Checkpoint& checkpoint);

/// The same in two parts, for tensors that pass by one at a time: what each adds, as it is stored, and the whole.
std::string fingerprint_part(const at::Tensor& tensor);
std::string fingerprint_of(const ModelConfig& config, const std::map<std::string, std::string>& part_of_tensor);

/// The same for random weights, which config and seed determine.
std::string fingerprint_of(const ModelConfig& config, std::uint64_t random_seed);

}  // namespace allreco::model
