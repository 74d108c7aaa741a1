// export: base + adapter become one dense Hugging Face checkpoint.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "model/checkpoint/quantization.h"

namespace allreco::model {

struct ExportReport {
  std::string base_model, adapter, output_dir;
  std::string dtype;  // of what was written
  bool base_was_quantized = false;
  std::string base_fingerprint, base_storage, adapter_fingerprint;
  std::string adapter_storage;  // how the base was kept in training, see base_storage_of_adapter
  std::int64_t num_merged = 0;  // projections
  std::int64_t written_bytes = 0;
  std::int64_t num_probe_tokens = 0;
  // On a few tokens, all computed in float32: logits of base + adapter, how far the merged model is from them before
  // its weights were rounded to dtype, and how far what was written is.
  double rms_logit = 0, rms_merge_difference = 0, rms_written_difference = 0, max_written_difference = 0;
};

struct ExportJob {
  std::string model_name_or_path;  // the base that the adapter was trained on
  std::string adapter_name_or_path;
  std::string output_dir;             // appears whole or not at all
  std::string dtype = "auto";         // of the base, as it was loaded for training: auto, float32, bfloat16
  std::string export_dtype = "auto";  // of what is written: auto (the base's), float32, bfloat16, float16
  Quantization quantization;          // as for training: the dequantised base is what the adapter knows
  std::string max_shard_size = "5GB";
  std::function<std::string(const ExportReport&)> model_card;  // README.md
};

/// Merges in float32, rounds once. One layer is in memory at a time. UserError for inputs that do not fit, or whose
/// 's logits are not finite; a Fault when merging, before rounding, moved the logits.
ExportReport export_merged(const ExportJob& job);

}  // namespace allreco::model
