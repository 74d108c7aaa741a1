#include "model/convert/quantize.h"

#include <ATen/ops/isfinite.h>

#include <filesystem>

#include "core/check.h"
#include "core/files.h"
#include "core/staging_directory.h"
#include "model/checkpoint/checkpoint_checks.h"
#include "model/checkpoint/checkpoint_writer.h"
#include "model/checkpoint/model_directory.h"
#include "model/checkpoint/quantized_checkpoint.h"
#include "model/checkpoint/weight_source.h"
#include "model/decoder/weights.h"

namespace allreco::model {
namespace fs = std::filesystem;

namespace {

void add_heads(const StoredWeight& weight, std::vector<TensorHead>& heads) {
  if (!weight.nf4) {
    heads.push_back({weight.spec.name, weight.dtype, weight.spec.shape});
    return;
  }
  const std::vector<TensorHead> parts = nf4_heads(weight);
  heads.insert(heads.end(), parts.begin(), parts.end());
}

std::int64_t dense_bytes_of(const StoredWeight& weight) {
  return static_cast<std::int64_t>(TensorHead{"", weight.dtype, weight.spec.shape}.num_bytes());
}

/// Those that become NF4 are checked where they do.
void require_finite(const std::string& name, const at::Tensor& tensor, const std::string& model) {
  if (at::isfinite(tensor).all().item<bool>()) return;
  core::user_error("{} of {} holds NaN or infinity: the model is damaged, or had diverged", name, model);
}

core::Json config_of(const WeightSource& source, Quantization quantization) {
  if (quantization.bnb_4bit_compute_dtype == "auto")
    quantization.bnb_4bit_compute_dtype = dtype_name(source.compute_dtype());
  core::Json config = with_dtype(source.base().json, source.dtype());
  config["quantization_config"] = to_quantization_config(quantization);
  return config;
}

}  // namespace

QuantizeReport quantize(const QuantizeJob& job) {
  if (is_random_base(job.model_name_or_path))
    core::user_error("model_name_or_path = {}: expected a directory", job.model_name_or_path);
  Quantization quantization = job.quantization;
  quantization.load_in_4bit = true;
  WeightSource source(job.model_name_or_path, job.dtype, quantization, FileAccess::read);
  if (source.base().config.quantization) core::user_error("{} holds NF4 already", job.model_name_or_path);
  core::StagingDirectory staging(job.output_dir);
  const std::string shown = staging.target().string();
  std::vector<TensorHead> heads;
  for (const StoredWeight& weight : source.stored()) add_heads(weight, heads);
  CheckpointWriter writer(staging.path(), shown, heads, parse_shard_size("max_shard_size", job.max_shard_size));
  QuantizeReport report;
  const auto write = [&](const std::string& name, const at::Tensor& tensor) {
    writer.write(name, tensor);
    report.written_bytes += static_cast<std::int64_t>(tensor.nbytes());
  };
  for (const StoredWeight& weight : source.stored()) {
    const WeightParts parts = source.next();
    report.dense_bytes += dense_bytes_of(weight);
    if (!weight.nf4) {
      require_finite(weight.spec.name, parts[0], job.model_name_or_path);
      write(weight.spec.name, parts[0]);
      continue;
    }
    ++report.num_quantized;
    for (const NamedTensor& part : nf4_tensors(weight.spec.name, nf4_from_parts(weight, parts)))
      write(part.name, part.tensor);
  }
  writer.finish();
  report.quantize_seconds = source.quantize_seconds();
  core::write_json_file(staging.path() / "config.json", config_of(source, quantization));
  copy_companions(job.model_name_or_path, staging.path(), shown);
  staging.publish();
  return report;
}

}  // namespace allreco::model
