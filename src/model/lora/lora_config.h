// LoraConfig: PEFT's, the part that this program supports. Which modules that means in a model: adapter_targets.h.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace allreco::model {

/// A dict of PEFT: regular expression -> value.
template <class Value>
using LoraPattern = std::vector<std::pair<std::string, Value>>;

struct LoraConfig {
  std::int64_t r = 16;
  double lora_alpha = 16;
  double lora_dropout = 0;
  bool use_rslora = false;
  /// Names or ends of module paths (q_proj, layers.0.mlp.up_proj); or the single entry all-linear, which stands for the
  /// names of all seven projections; or a regular expression, see as_regex.
  std::vector<std::string> target_modules{"all-linear"};
  /// true: A kaiming uniform, B zero; false: B uniform, too; gaussian: A normal with deviation 1 / r, B zero; pissa,
  /// pissa_niter_N and olora: from the weight itself, see weight_start.h.
  std::string init_lora_weights = "true";
  /// Targeted by no rule above: names, ends of paths, or a regular expression.
  std::vector<std::string> exclude_modules{};
  /// Other ranks than r and other numbers than lora_alpha for modules whose path ends in a match.
  LoraPattern<std::int64_t> rank_pattern{};
  LoraPattern<double> alpha_pattern{};
  /// Layers in which target_modules holds; empty: all. Entries that are whole paths hold in any case.
  std::vector<std::int64_t> layers_to_transform{};
  /// Regular expressions for what stands before the layer's number in a path; empty: anything.
  std::vector<std::string> layers_pattern{};
  /// DoRA: a learned magnitude for each output feature, of the direction W + scaling B A.
  bool use_dora = false;

  /// alpha / rank, or alpha / sqrt(rank) with use_rslora.
  double scaling(std::int64_t rank, double alpha) const;
  /// pissa, pissa_niter_N, olora: both factors start from the weight, and what they start with is subtracted again.
  bool starts_from_weight() const;
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
