// A model directory, NF4 or dense: config.json and model.safetensors, read and dequantised.
#include <ATen/ops/empty.h>

#include "fuzz/target.h"
#include "model/checkpoint/weight_source.h"

namespace allreco::fuzz {

void checkpoint(Input input) {
  const auto pieces = split(input, 2);
  const Directory directory;
  directory.write("config.json", pieces[0]);
  directory.write("model.safetensors", as_safetensors(pieces[1]));
  model::WeightSource source(directory.path(), "float32", {}, model::FileAccess::read);
  for (const model::StoredWeight& weight : source.stored()) {
    const model::WeightParts parts = source.next();
    if (!weight.nf4) continue;
    at::Tensor dense = at::empty(weight.spec.shape, at::kFloat);
    model::ops::nf4_dequantize(model::nf4_from_parts(weight, parts), dense, at::kFloat);
  }
  source.fingerprint();
  source.storage();
}

}  // namespace allreco::fuzz
