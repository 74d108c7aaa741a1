#include "model/checkpoint/checkpoint_checks.h"

#include <ATen/ops/equal.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "core/check.h"
#include "model/checkpoint/quantized_checkpoint.h"

namespace allreco::model {
namespace fs = std::filesystem;
using core::user_error;

namespace {

/// The first few names, for messages.
std::string some_of(const std::vector<std::string>& names) {
  const size_t shown = std::min<size_t>(names.size(), 5);
  std::string text =
      fmt::format("{}", fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
  if (shown < names.size()) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

}  // namespace

void check_directory(const std::string& model_name_or_path) {
  if (!fs::is_directory(model_name_or_path)) {
    user_error(
        "model_name_or_path = {} is no directory; expected a Hugging Face checkpoint directory, or random:<shape>",
        model_name_or_path);
  }
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

void check_names(const Checkpoint& checkpoint, const ModelConfig& config, const std::string& directory) {
  std::set<std::string> known;
  std::vector<std::string> missing, unexpected;
  for (const TensorSpec& spec : expected_tensors(config)) {
    known.insert(spec.name);
    if (config.quantization && spec.is_projection() && is_quantized(checkpoint, spec)) {
      for (const std::string& name : nf4_names(spec.name, /*is_nested=*/true)) known.insert(name);
    }
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

void check_tensor(const Checkpoint& checkpoint, const TensorSpec& spec) {
  const std::vector<std::int64_t>& shape = checkpoint.shape_of(spec.name);
  if (shape != spec.shape) {
    user_error("{}: {} has the shape [{}], config.json asks for [{}]", checkpoint.file_of(spec.name).string(),
               spec.name, fmt::join(shape, ", "), fmt::join(spec.shape, ", "));
  }
  const at::ScalarType dtype = checkpoint.dtype_of(spec.name);
  if (!c10::isFloatingType(dtype)) {
    user_error("{}: {} holds {} values; expected a checkpoint in float32, bfloat16 or float16",
               checkpoint.file_of(spec.name).string(), spec.name, c10::toString(dtype));
  }
}

std::optional<at::ScalarType> parse_dtype(const std::string& dtype) {
  if (dtype == "auto") return std::nullopt;
  if (dtype == "float32") return at::kFloat;
  if (dtype == "bfloat16") return at::kBFloat16;
  if (dtype == "float64") return at::kDouble;
  user_error("dtype = {} is not supported, expected auto, float32 or bfloat16", dtype);
}

std::string dtype_name(at::ScalarType dtype) {
  switch (dtype) {
    case at::kDouble:
      return "float64";
    case at::kFloat:
      return "float32";
    case at::kBFloat16:
      return "bfloat16";
    case at::kHalf:
      return "float16";
    default:
      core::fault("models of {} do not exist", c10::toString(dtype));
  }
}

at::ScalarType choose_dtype(const Checkpoint& checkpoint, const std::string& directory, const std::string& dtype) {
  if (const auto chosen = parse_dtype(dtype)) return *chosen;
  const at::ScalarType stored = checkpoint.dtype_of(kEmbedding);
  if (stored == at::kHalf) {
    user_error(
        "{} is stored in float16, which this program does not compute in; pass --dtype bfloat16 or --dtype float32",
        directory);
  }
  return stored;
}

}  // namespace allreco::model
