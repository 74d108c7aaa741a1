#include "model/checkpoint/weight_source.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "core/check.h"
#include "model/checkpoint/checkpoint_checks.h"
#include "model/checkpoint/fingerprint.h"
#include "model/checkpoint/quantized_checkpoint.h"
#include "model/decoder/weights.h"

namespace allreco::model {

namespace {

constexpr std::int64_t kBlocksize = 64;  // bitsandbytes' default, and transformers' only one

std::string module_of(const TensorSpec& spec) { return spec.name.substr(0, spec.name.rfind('.')); }

/// The option; auto: what the checkpoint was made for, or the activations' dtype.
at::ScalarType choose_compute_dtype(const ModelConfig& config, const Quantization& quantization, at::ScalarType dtype) {
  std::string choice = quantization.bnb_4bit_compute_dtype;
  if (choice == "auto" && config.quantization) choice = config.quantization->bnb_4bit_compute_dtype;
  return parse_dtype(choice).value_or(dtype);
}

ops::Nf4Tensor quantized(const StoredWeight& weight, const at::Tensor& dense) {
  try {
    return ops::nf4_quantize(dense, weight.nf4->blocksize, weight.nf4->nested_blocksize > 0);
  } catch (const core::UserError& e) {  // a NaN: the op knows no name
    core::user_error("{}: {}", weight.spec.name, e.what());
  }
}

}  // namespace

BaseConfig read_base_config(const std::string& model_name_or_path) {
  if (is_random_base(model_name_or_path)) {
    return {named_model_config(model_name_or_path.substr(kRandomPrefix.size())), nullptr};
  }
  check_directory(model_name_or_path);
  const std::filesystem::path file = std::filesystem::path(model_name_or_path) / "config.json";
  const core::Json json = core::read_json_file(file);
  return {parse_model_config(json, file.string()), json};
}

WeightSource::WeightSource(const std::string& model_name_or_path, const std::string& dtype,
                           const Quantization& quantization, FileAccess access)
    : base_(read_base_config(model_name_or_path)) {
  validate(quantization);
  if (quantization.load_in_4bit && !base_.config.quantization) skip_modules_ = quantization.llm_int8_skip_modules;
  const ModelConfig& config = base_.config;
  if (is_random_base(model_name_or_path)) {
    dtype_ = parse_dtype(dtype).value_or(config.checkpoint_dtype);
  } else {
    checkpoint_.emplace(model_name_or_path, access);
    check_names(*checkpoint_, config, model_name_or_path);
    dtype_ = choose_dtype(*checkpoint_, model_name_or_path, dtype);
    check_tied_head(*checkpoint_, config);
  }
  compute_dtype_ = choose_compute_dtype(config, quantization, dtype_);
  for (const TensorSpec& spec : expected_tensors(config)) stored_.push_back(plan_of(spec, quantization));
}

StoredWeight WeightSource::plan_of(const TensorSpec& spec, const Quantization& quantization) const {
  const bool comes_quantized = base_.config.quantization.has_value();
  if (comes_quantized && spec.is_projection() && is_quantized(*checkpoint_, spec)) return check_nf4(*checkpoint_, spec);
  if (checkpoint_) check_tensor(*checkpoint_, spec);
  const bool quantize = !comes_quantized && quantization.load_in_4bit && spec.is_projection() &&
                        !is_skipped(module_of(spec), quantization.llm_int8_skip_modules);
  if (!quantize) return {spec, dtype_, std::nullopt};
  const std::int64_t nested = quantization.bnb_4bit_use_double_quant ? ops::kNestedBlocksize : 0;
  return {spec, dtype_ == at::kDouble ? at::kFloat : dtype_, Nf4Format{kBlocksize, nested}};
}

void WeightSource::add_to_fingerprint(const std::string& name, const at::Tensor& tensor) {
  fingerprint_parts_.emplace(name, fingerprint_part(tensor));
}

at::Tensor WeightSource::read(const std::string& name) {
  at::Tensor tensor = checkpoint_->tensor(name);
  add_to_fingerprint(name, tensor);
  return tensor;
}

at::Tensor WeightSource::dense(const TensorSpec& spec) {
  return checkpoint_ ? read(spec.name) : random_weight(spec, at::kFloat, kRandomBaseSeed);
}

WeightParts WeightSource::next() {
  core::require(num_read_ < stored_.size(), "the weights of a base were read beyond their end");
  const StoredWeight& weight = stored_[num_read_];
  const bool quantize = weight.nf4 && !base_.config.quantization;
  ++num_read_;
  if (!weight.nf4 || quantize) {
    at::Tensor tensor = dense(weight.spec).to(weight.dtype);
    if (!quantize) return {tensor};
    const auto begin = std::chrono::steady_clock::now();
    const ops::Nf4Tensor nf4 = quantized(weight, tensor);
    quantize_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return parts_of(nf4);
  }
  const ops::Nf4Tensor nf4 = read_nf4(*checkpoint_, weight.spec);
  add_to_fingerprint(weight.spec.name, nf4.packed);
  add_to_fingerprint(weight.spec.name + ".absmax", nf4.absmax);
  return parts_of(nf4);
}

std::string WeightSource::storage() const {
  const auto is_quantized = [](const StoredWeight& weight) { return weight.nf4.has_value(); };
  const auto first = std::find_if(stored_.begin(), stored_.end(), is_quantized);
  if (first == stored_.end()) return "dense";
  std::string text =
      fmt::format("nf4{}, products in {}", first->nf4->nested_blocksize > 0 ? " with double quantisation" : "",
                  dtype_name(compute_dtype_));
  if (!skip_modules_.empty()) text += fmt::format(", without {}", fmt::join(skip_modules_, ","));
  return text;
}

std::string WeightSource::fingerprint() {
  core::require(num_read_ == stored_.size(), "the fingerprint of a base needs all of its weights");
  if (!checkpoint_) return fingerprint_of(base_.config, kRandomBaseSeed);
  for (const std::string& name : checkpoint_->names()) {  // small ones, and those that the computation does not use
    if (!fingerprint_parts_.contains(name)) read(name);
  }
  return fingerprint_of(base_.config, fingerprint_parts_);
}

}  // namespace allreco::model
