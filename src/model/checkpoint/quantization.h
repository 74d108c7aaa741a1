// A base in 4 bits, as transformers' BitsAndBytesConfig describes it: which options there are, and which modules stay
// dense.
#pragma once
#include <c10/core/ScalarType.h>

#include <optional>
#include <string>
#include <vector>

#include "core/json.h"

namespace allreco::model {

/// The names are BitsAndBytesConfig's.
struct Quantization {
  bool load_in_4bit = false;
  std::string bnb_4bit_quant_type = "nf4";
  bool bnb_4bit_use_double_quant = false;          // the blocks' absmax in 8 bits
  std::string bnb_4bit_compute_dtype = "auto";     // of products with 4-bit weights; auto: the activations' dtype
  std::vector<std::string> llm_int8_skip_modules;  // modules that stay dense, beside lm_head

  bool operator==(const Quantization&) const = default;
};

/// UserError naming key, value and what is supported.
void validate(const Quantization& quantization);

/// config.json's quantization_config. `where` names the file. UserError, naming what was found, for every scheme but
/// bitsandbytes' NF4.
Quantization parse_quantization_config(const core::Json& json, const std::string& where);
/// What transformers 5 writes there.
core::Json to_quantization_config(const Quantization& quantization);

/// Whether transformers would leave `module` (model.layers.0.mlp.up_proj) dense: a pattern matches it as a regular
/// expression from its start up to a dot or its end, or is its suffix (quantizers_utils.should_convert_module).
/// UserError for a pattern that PythonRegex refuses.
bool is_skipped(const std::string& module, const std::vector<std::string>& skip_modules);

}  // namespace allreco::model
