// NF4 weights in a checkpoint, as bitsandbytes' Linear4bit saves them (functional.py, QuantState.as_dict): beside
// W.weight the tensors W.weight.absmax, .quant_map, .quant_state.bitsandbytes__nf4 and, with double quantisation,
// .nested_absmax and .nested_quant_map.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "model/checkpoint/safetensors.h"
#include "model/checkpoint/stored_weights.h"
#include "model/ops/nf4.h"

namespace allreco::model {

/// Whether the checkpoint holds this weight quantised, in whatever scheme of bitsandbytes.
bool is_quantized(const Checkpoint& checkpoint, const TensorSpec& spec);

/// Names of the tensors that an NF4 weight consists of; the last two only with double quantisation.
std::vector<std::string> nf4_names(const std::string& weight, bool is_nested);

/// How an NF4 weight is kept. Reads its small tensors only. UserError naming tensor and file when one is missing, has
/// another dtype or shape than the rest asks for, is another scheme, or when blocksize, shape or offset make no sense.
StoredWeight check_nf4(const Checkpoint& checkpoint, const TensorSpec& spec);

/// The weight itself, its large tensors as the checkpoint gives them. UserError also when an absmax is negative or not
/// finite.
ops::Nf4Tensor read_nf4(const Checkpoint& checkpoint, const TensorSpec& spec);

/// What nf4_tensors will give; the length of quant_state is only bounded, since an offset is written in it.
std::vector<TensorHead> nf4_heads(const StoredWeight& weight);

/// The tensors to save, byte by byte what transformers' save_pretrained writes.
std::vector<NamedTensor> nf4_tensors(const std::string& weight, const ops::Nf4Tensor& nf4);

}  // namespace allreco::model
