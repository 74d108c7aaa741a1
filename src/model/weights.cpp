#include "model/weights.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <set>

#include "core/check.h"
#include "core/random.h"
#include "model/fingerprint.h"
#include "model/ops/product.h"
#include "model/safetensors.h"

namespace allreco::model {
namespace fs = std::filesystem;
using core::user_error;

at::Tensor FrozenLinear::forward(const at::Tensor& x) const { return ops::mm(x, weight_.t()); }

at::Tensor FrozenLinear::backward(const at::Tensor& dy) const { return ops::mm(dy, weight_); }

void FrozenLinear::backward_add(const at::Tensor& dy, at::Tensor& dx) const { ops::addmm_(dx, dy, weight_); }

namespace {

constexpr const char* kEmbedding = "model.embed_tokens.weight";
constexpr const char* kHead = "lm_head.weight";
constexpr std::uint64_t kRandomBaseSeed = 0;

/// Puts tensors, in the order of expected_tensors, into their places.
Weights assemble(const ModelConfig& config, const std::vector<at::Tensor>& tensors) {
  auto next = tensors.begin();
  Weights weights;
  weights.embedding = *next++;
  for (std::int64_t l = 0; l < config.num_hidden_layers; ++l) {
    LayerWeights& layer = weights.layers.emplace_back();
    layer.input_norm = *next++;
    for (FrozenLinear& projection : layer.projections) projection = FrozenLinear(*next++);
    layer.post_attention_norm = *next++;
  }
  weights.final_norm = *next++;
  weights.lm_head = config.tie_word_embeddings ? weights.embedding : *next++;
  core::require(next == tensors.end(), "a tensor has no place in the model");
  return weights;
}

/// The first few names, for messages.
std::string some_of(const std::vector<std::string>& names) {
  const size_t shown = std::min<size_t>(names.size(), 5);
  std::string text =
      fmt::format("{}", fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
  if (shown < names.size()) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

void check_tied_head(const Checkpoint& checkpoint, const ModelConfig& config) {
  if (!config.tie_word_embeddings || !checkpoint.contains(kHead)) return;
  if (!at::equal(checkpoint.tensor(kHead), checkpoint.tensor(kEmbedding))) {
    user_error(
        "{}: lm_head.weight differs from model.embed_tokens.weight although tie_word_embeddings is true; set it to "
        "false in config.json if the head is its own",
        checkpoint.file_of(kHead).string());
  }
}

/// Names that must be there and names that must not.
void check_names(const Checkpoint& checkpoint, const ModelConfig& config, const std::string& directory) {
  std::set<std::string> known;
  std::vector<std::string> missing, unexpected;
  for (const TensorSpec& spec : expected_tensors(config)) {
    known.insert(spec.name);
    if (!checkpoint.contains(spec.name)) missing.push_back(spec.name);
  }
  for (const std::string& name : checkpoint.names()) {
    const bool ignored = name.ends_with("rotary_emb.inv_freq") || (config.tie_word_embeddings && name == kHead);
    if (!ignored && !known.contains(name)) unexpected.push_back(name);
  }
  if (!missing.empty()) user_error("{}: the checkpoint lacks {}", directory, some_of(missing));
  if (!unexpected.empty()) {
    user_error("{}: config.json has no place for {} (in {})", directory, some_of(unexpected),
               checkpoint.file_of(unexpected.front()).string());
  }
}

at::Tensor load_tensor(const Checkpoint& checkpoint, const TensorSpec& spec, at::ScalarType dtype, at::Device device) {
  const at::Tensor tensor = checkpoint.tensor(spec.name);
  if (tensor.sizes() != at::IntArrayRef(spec.shape)) {
    user_error("{}: {} has the shape [{}], config.json asks for [{}]", checkpoint.file_of(spec.name).string(),
               spec.name, fmt::join(tensor.sizes(), ", "), fmt::join(spec.shape, ", "));
  }
  if (!tensor.is_floating_point()) {
    user_error("{}: {} holds {} values; expected a checkpoint in float32, bfloat16 or float16",
               checkpoint.file_of(spec.name).string(), spec.name, c10::toString(tensor.scalar_type()));
  }
  return tensor.to(device).to(dtype);  // on the CPU the mapped view itself when the dtype is the same
}

Weights load_weights(const Checkpoint& checkpoint, const std::string& directory, const ModelConfig& config,
                     at::ScalarType dtype, at::Device device) {
  check_names(checkpoint, config, directory);
  check_tied_head(checkpoint, config);
  std::vector<at::Tensor> tensors;
  for (const TensorSpec& spec : expected_tensors(config)) {
    tensors.push_back(load_tensor(checkpoint, spec, dtype, device));
  }
  return assemble(config, tensors);
}

/// Nothing for auto.
std::optional<at::ScalarType> parse_dtype(const std::string& dtype) {
  if (dtype == "auto") return std::nullopt;
  if (dtype == "float32") return at::kFloat;
  if (dtype == "bfloat16") return at::kBFloat16;
  if (dtype == "float64") return at::kDouble;
  user_error("dtype = {} is not supported, expected auto, float32 or bfloat16", dtype);
}

/// auto: what the embedding is stored in.
at::ScalarType choose_dtype(const Checkpoint& checkpoint, const std::string& directory, const std::string& dtype) {
  if (const auto chosen = parse_dtype(dtype)) return *chosen;
  const at::ScalarType stored = checkpoint.tensor(kEmbedding).scalar_type();
  if (stored == at::kHalf) {
    user_error(
        "{} is stored in float16, which this program does not compute in; pass --dtype bfloat16 or --dtype float32",
        directory);
  }
  return stored;
}

}  // namespace

std::vector<TensorSpec> expected_tensors(const ModelConfig& config) {
  const std::int64_t hidden = config.hidden_size;
  std::vector<TensorSpec> specs{{kEmbedding, {config.vocab_size, hidden}}};
  for (std::int64_t l = 0; l < config.num_hidden_layers; ++l) {
    const std::string prefix = fmt::format("model.layers.{}.", l);
    specs.push_back({prefix + "input_layernorm.weight", {hidden}});
    for (const Projection p : kProjections) {
      const auto [out, in] = shape_of(p, config);
      specs.push_back({fmt::format("{}{}.weight", prefix, module_path_of(p)), {out, in}});
    }
    specs.push_back({prefix + "post_attention_layernorm.weight", {hidden}});
  }
  specs.push_back({"model.norm.weight", {hidden}});
  if (!config.tie_word_embeddings) specs.push_back({kHead, {config.vocab_size, hidden}});
  return specs;
}

Weights load_weights(const std::string& directory, const ModelConfig& config, at::ScalarType dtype, at::Device device) {
  return load_weights(Checkpoint(directory), directory, config, dtype, device);
}

Weights random_weights(const ModelConfig& config, at::ScalarType dtype, std::uint64_t seed, at::Device device) {
  const std::vector<TensorSpec> specs = expected_tensors(config);
  std::vector<at::Tensor> tensors(specs.size());
  const auto draw = [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      if (specs[i].shape.size() == 1) {
        tensors[i] = at::ones(specs[i].shape, dtype);
        continue;
      }
      const auto key = core::mix_key(seed, {core::key_of("random_weights"), core::key_of(specs[i].name)});
      tensors[i] =
          at::empty(specs[i].shape, at::kFloat).normal_(0, 0.02, at::detail::createCPUGenerator(key)).to(dtype);
    }
  };
  at::parallel_for(0, static_cast<std::int64_t>(specs.size()), 1, draw);
  for (at::Tensor& tensor : tensors) tensor = tensor.to(device);
  return assemble(config, tensors);
}

BaseModel load_base_model(const std::string& model_name_or_path, const std::string& dtype, at::Device device) {
  constexpr std::string_view kRandom = "random:";
  BaseModel base;
  base.name = model_name_or_path;
  if (model_name_or_path.starts_with(kRandom)) {
    base.config = named_model_config(model_name_or_path.substr(kRandom.size()));
    const at::ScalarType compute_dtype = parse_dtype(dtype).value_or(base.config.checkpoint_dtype);
    base.weights = random_weights(base.config, compute_dtype, kRandomBaseSeed, device);
    base.fingerprint = fingerprint_of(base.config, kRandomBaseSeed);
    return base;
  }
  if (!fs::is_directory(model_name_or_path)) {
    user_error(
        "model_name_or_path = {} is no directory; expected a Hugging Face checkpoint directory, or random:<shape>",
        model_name_or_path);
  }
  base.config = read_model_config(model_name_or_path);
  const Checkpoint checkpoint(model_name_or_path);
  check_names(checkpoint, base.config, model_name_or_path);
  base.weights = load_weights(checkpoint, model_name_or_path, base.config,
                              choose_dtype(checkpoint, model_name_or_path, dtype), device);
  base.fingerprint = fingerprint_of(base.config, checkpoint);
  return base;
}

}  // namespace allreco::model
