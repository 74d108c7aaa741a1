// How the weights of a base are kept: each one dense, or as the parts of its NF4. Known from headers alone, so that
// ranks can agree on it, and on where everything lies in one buffer, before the first byte is read.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "model/decoder/weights.h"
#include "model/families/config.h"
#include "model/ops/nf4.h"

namespace allreco::model {

struct Nf4Format {
  std::int64_t blocksize = 64;
  std::int64_t nested_blocksize = 0;  // 0: absmax in float32
};

struct StoredWeight {
  TensorSpec spec;
  at::ScalarType dtype = at::kFloat;  // of the dense tensor; of an NF4 one: what was quantised
  std::optional<Nf4Format> nf4;
};

/// One tensor if dense; else packed, absmax, and with double quantisation nested_absmax, nested_map, nested_offset [1].
using WeightParts = std::vector<at::Tensor>;

WeightParts parts_of(const ops::Nf4Tensor& nf4);
ops::Nf4Tensor nf4_from_parts(const StoredWeight& weight, const WeightParts& parts);

struct PartShape {
  at::ScalarType dtype = at::kFloat;
  std::vector<std::int64_t> shape;
};
/// Of the weight's parts, in their order.
std::vector<PartShape> shapes_of_parts(const StoredWeight& weight);

/// Where all parts lie in one buffer, each at a multiple of 64 bytes.
class WeightLayout {
 public:
  struct Part : PartShape {
    std::int64_t first_byte = 0;
  };

  explicit WeightLayout(std::vector<StoredWeight> weights);
  /// As to_json gives it.
  explicit WeightLayout(const core::Json& json);
  core::Json to_json() const;

  const std::vector<StoredWeight>& weights() const { return weights_; }
  const std::vector<Part>& parts_of(size_t weight) const { return parts_[weight]; }
  std::int64_t num_bytes() const { return num_bytes_; }

 private:
  std::vector<StoredWeight> weights_;
  std::vector<std::vector<Part>> parts_;  // by weight
  std::int64_t num_bytes_ = 0;
};

/// Puts weights, in the order of expected_tensors, into their places. `compute_dtype`: of products with NF4 weights.
Weights assemble(const ModelConfig& config, const std::vector<StoredWeight>& stored,
                 const std::vector<WeightParts>& parts, at::ScalarType compute_dtype);

}  // namespace allreco::model
