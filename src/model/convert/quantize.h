// quantize: a dense checkpoint becomes the same in NF4, as transformers with bitsandbytes saves and loads it.
#pragma once
#include <cstdint>
#include <string>

#include "model/checkpoint/quantization.h"

namespace allreco::model {

struct QuantizeJob {
  std::string model_name_or_path;
  std::string output_dir;  // appears whole or not at all
  std::string dtype = "auto";
  Quantization quantization;  // load_in_4bit is implied
  std::string max_shard_size = "5GB";

  core::OptionGroups options() {
    return {{"Quantise",
             {{"model_name_or_path", model_name_or_path, "A dense Hugging Face model directory."},
              {"output_dir", output_dir, "A directory that does not exist yet, or is empty."},
              {"dtype", dtype, compute_dtype_choices(),
               "What is quantised, and of what stays dense; auto: the checkpoint's."},
              {"max_shard_size", max_shard_size, "The largest file, such as 5GB or 500MB."}}},
            quantization.form_options()};
  }
};

struct QuantizeReport {
  std::int64_t dense_bytes = 0, written_bytes = 0;  // of all tensors
  std::int64_t num_quantized = 0;                   // projections
  double quantize_seconds = 0;                      // without reading and writing
};

/// One tensor is in memory at a time. UserError for a model that is quantised already, and as load_base_model.
QuantizeReport quantize(const QuantizeJob& job);

}  // namespace allreco::model
