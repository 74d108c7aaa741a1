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
  std::string model_name_or_path;
  std::string adapter_name_or_path;
  std::string output_dir;  // appears whole or not at all
  std::string dtype = "auto";
  std::string export_dtype = "auto";
  Quantization quantization;  // as for training: the dequantised base is what the adapter knows
  std::string max_shard_size = "5GB";

  core::OptionGroups options() {
    return {{"Export",
             {{"model_name_or_path", model_name_or_path, "The base that the adapter was trained on: a directory."},
              {"adapter_name_or_path", adapter_name_or_path, "A PEFT adapter directory."},
              {"output_dir", output_dir, "A directory that does not exist yet, or is empty."},
              {"dtype", dtype, compute_dtype_choices(),
               "The dtype in which the base was trained on; auto: the checkpoint's."},
              {"export_dtype",
               export_dtype,
               {"auto", "float32", "bfloat16", "float16"},
               "The dtype to write; auto: that of the base."},
              {"max_shard_size", max_shard_size, "The largest file, such as 5GB or 500MB."}}},
            quantization.options()};
  }

  std::function<std::string(const ExportReport&)> model_card;  // README.md
};

/// Merges in float32, rounds once. One layer is in memory at a time. UserError for inputs that do not fit, or whose
/// logits are not finite; a Fault when merging, before rounding, moved the logits.
ExportReport export_merged(const ExportJob& job);

}  // namespace allreco::model
