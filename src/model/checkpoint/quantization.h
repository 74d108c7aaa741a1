// A base in 4 bits, as transformers' BitsAndBytesConfig describes it: which options there are, and which modules stay
// dense.
#pragma once
#include <c10/core/ScalarType.h>

#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/options.h"

namespace allreco::model {

/// What dtype and bnb_4bit_compute_dtype may be.
inline core::Choices compute_dtype_choices() { return {"auto", "float32", "bfloat16"}; }

/// The names are BitsAndBytesConfig's.
struct Quantization {
  bool load_in_4bit = false;
  std::string bnb_4bit_quant_type = "nf4";
  bool bnb_4bit_use_double_quant = false;
  std::string bnb_4bit_compute_dtype = "auto";
  std::vector<std::string> llm_int8_skip_modules;

  core::OptionGroup options() {
    core::OptionGroup group = form_options();
    group.options.emplace(
        group.options.begin(), "load_in_4bit", load_in_4bit,
        "Quantise a dense model's projections to NF4 while it is read (QLoRA). A model that holds NF4 of bitsandbytes "
        "is kept as it is, whatever these options say.");
    return group;
  }
  /// All but load_in_4bit.
  core::OptionGroup form_options() {
    return {"Quantisation",
            {{"bnb_4bit_quant_type", bnb_4bit_quant_type, {"nf4"}, "The 4-bit data type."},
             {"bnb_4bit_use_double_quant", bnb_4bit_use_double_quant,
              "Quantise the blocks' scales, too: 4.13 bits a weight instead of 4.5."},
             {"bnb_4bit_compute_dtype", bnb_4bit_compute_dtype, compute_dtype_choices(),
              "Of products with 4-bit weights; auto: what a model in NF4 was made for, else dtype."},
             {"llm_int8_skip_modules", llm_int8_skip_modules,
              "Modules that load_in_4bit leaves dense, as names or regular expressions of module paths; lm_head always "
              "is."}}};
  }

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
