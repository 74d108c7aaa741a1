// LoraConfig: PEFT's, the part that this program supports. Which modules that means in a model: adapter_targets.h.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/options.h"

namespace allreco::model {

/// A dict of PEFT: regular expression -> value.
template <class Value>
using LoraPattern = core::KeyedNumbers<Value>;

struct LoraConfig {
  std::int64_t r = 16;
  double lora_alpha = 16;
  double lora_dropout = 0;
  bool use_rslora = false;
  /// As in PEFT names or ends of module paths, the single entry all-linear, which stands for the names of all seven
  /// projections, or a regular expression, see as_regex.
  std::vector<std::string> target_modules{"all-linear"};
  /// What starts from the weight itself: weight_init.h.
  std::string init_lora_weights = "true";
  std::vector<std::string> exclude_modules{};
  LoraPattern<std::int64_t> rank_pattern{};
  LoraPattern<double> alpha_pattern{};
  /// target_modules' entries that are whole paths hold in any case.
  std::vector<std::int64_t> layers_to_transform{};
  /// Regular expressions for what stands before the layer's number in a path; empty: anything. No option: from files.
  std::vector<std::string> layers_pattern{};
  bool use_dora = false;

  core::OptionGroups options() {
    constexpr core::Range r_range = core::between(1, 65536), alpha_range = core::above_to(0, 1e6);
    return {{"LoRA",
             {{"lora_r", r, r_range, "LoRA's rank."},
              {"lora_alpha", lora_alpha, alpha_range, "LoRA's scale is lora_alpha / lora_r."},
              {"lora_dropout", lora_dropout, core::from_below(0, 1), "Dropout on the input of the LoRA factors."},
              {"use_rslora", use_rslora, "Scale by lora_alpha / sqrt(lora_r) instead."},
              {"use_dora", use_dora, "DoRA: also learn a magnitude for each output of a projection."},
              {"init_lora_weights", init_lora_weights,
               "How factors start. true: A uniform, B zero; gaussian: A normal with deviation 1 / r, B zero; false: B "
               "uniform, too; pissa, pissa_niter_N (faster, N power iterations) or olora: from the weights."},
              {"target_modules", target_modules,
               "Projections that get factors: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, or ends "
               "of paths like layers.0.mlp.up_proj; all-linear; or one regular expression for whole paths, as in "
               "PEFT."},
              {"exclude_modules", exclude_modules, "Projections that get none all the same, written likewise."},
              {"layers_to_transform", layers_to_transform, core::between(0, 1e6),
               "Only these layers get factors, counted from 0; empty: all. Not with a regular expression."},
              {"rank_pattern", rank_pattern, r_range,
               "Other ranks for some projections, as in k_proj=4,layers.0.mlp.up_proj=8; the keys are regular "
               "expressions for the ends of paths."},
              {"alpha_pattern", alpha_pattern, alpha_range, "The same for lora_alpha."}}}};
  }

  /// alpha / r, or alpha / sqrt(r) with use_rslora.
  double scaling(std::int64_t of_r, double of_alpha) const;
  /// pissa, pissa_niter_N, olora: both factors start from the weight, and what they start with is subtracted again.
  bool initializes_from_weight() const;
  /// N of pissa_niter_N.
  std::optional<std::int64_t> pissa_iterations() const;
};

/// What a run is written as: `config` itself, or, where it starts from the weight, the plain LoRA of twice the ranks
/// and the same scalings that PEFT's save_pretrained(path_initial_model_for_weight_conversion) makes of it.
LoraConfig as_plain_lora(LoraConfig config);

/// The regular expression that such a list is, or none: PEFT has a string there. Lists that the command line split at
/// commas are joined again; what sets them apart are characters that no module's name has.
std::optional<std::string> as_regex(const std::vector<std::string>& modules);

/// What can be said without a model. UserError naming key, value and allowed range.
void validate(const LoraConfig& config);

}  // namespace allreco::model
