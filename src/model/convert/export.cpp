#include "model/convert/export.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/check.h"
#include "core/files.h"
#include "core/random.h"
#include "core/staging_directory.h"
#include "model/checkpoint/checkpoint_checks.h"
#include "model/checkpoint/checkpoint_writer.h"
#include "model/checkpoint/model_directory.h"
#include "model/checkpoint/weight_source.h"
#include "model/decoder/streamed_forward.h"
#include "model/lora/adapter.h"
#include "model/lora/merge.h"

namespace allreco::model {

namespace {

constexpr std::int64_t kMaxProbeTokens = 64;

/// Any tokens will do: both models see the same.
std::vector<std::int32_t> probe_tokens(const ModelConfig& config) {
  core::RandomStream stream(core::key_of("export probe"));
  std::vector<std::int32_t> tokens;
  for (std::int64_t i = 0; i < std::min(kMaxProbeTokens, config.max_position_embeddings); ++i) {
    tokens.push_back(static_cast<std::int32_t>(stream.next_uniform() * static_cast<double>(config.vocab_size)));
  }
  return tokens;
}

at::ScalarType choose_export_dtype(const ExportJob& job, const WeightSource& source) {
  if (job.export_dtype == "auto") return source.dtype();
  if (job.export_dtype == "float16") return at::kHalf;
  return parse_dtype(job.export_dtype).value();
}

/// Merging adds rounding of float32 only: 2^-24 a sum, which norms and layers spread. A mistake moves logits by far
/// more.
constexpr double kMergeTolerance = 1e-3;  // of the logits' rms

double rms(const at::Tensor& t) { return t.to(at::kDouble).square().mean().sqrt().item<double>(); }

/// base + adapter, the merged model, and the merged model as it is written.
struct Models {
  StreamedForward unmerged, merged, written;
};

LoraConfig checked_lora(const std::string& adapter, const ModelConfig& model) {
  LoraConfig lora = read_adapter_config(adapter).lora;
  check_adapter(adapter, model, lora);
  return lora;
}

class Exporter {
 public:
  explicit Exporter(const ExportJob& job)
      : job_(job),
        source_(job.model_name_or_path, job.dtype, job.quantization, FileAccess::read),
        config_(source_.base().config),
        store_(config_, checked_lora(job.adapter_name_or_path, config_), at::kFloat, /*seed=*/0),
        dtype_(choose_export_dtype(job, source_)),
        staging_(job.output_dir),
        writer_(staging_.path(), staging_.target().string(), heads(),
                parse_shard_size("max_shard_size", job.max_shard_size)),
        models_{{config_, &store_, probe_tokens(config_)},
                {config_, nullptr, probe_tokens(config_)},
                {config_, nullptr, probe_tokens(config_)}} {
    load_adapter(job.adapter_name_or_path, store_);
    report_.base_model = job.model_name_or_path;
    report_.adapter = job.adapter_name_or_path;
    report_.output_dir = staging_.target().string();
    report_.dtype = dtype_name(dtype_);
    report_.base_storage = source_.storage();
    report_.adapter_fingerprint = adapter_fingerprint(job.adapter_name_or_path);
    report_.adapter_storage = base_storage_of_adapter(job.adapter_name_or_path);
    report_.num_probe_tokens = std::ssize(probe_tokens(config_));
  }

  ExportReport run() {
    const Copies tied_head = export_embedding();
    for (std::int64_t l = 0; l < config_.num_hidden_layers; ++l) export_layer(l);
    const Copies norm = next_other();
    const Copies head = config_.tie_word_embeddings ? tied_head : next_other();
    compare(models_.unmerged.logits(norm.exact, head.exact), models_.merged.logits(norm.exact, head.exact),
            models_.written.logits(norm.written, head.written));
    writer_.finish();
    report_.base_fingerprint = source_.fingerprint();
    core::Json config = with_dtype(source_.base().json, dtype_);
    config.erase("quantization_config");
    core::write_json_file(staging_.path() / "config.json", config);
    copy_companions(job_.model_name_or_path, staging_.path(), report_.output_dir);
    if (job_.model_card) core::write_file_atomically(staging_.path() / "README.md", job_.model_card(report_));
    staging_.publish();
    return report_;
  }

 private:
  /// A tensor in float32: as it is, and rounded to what is written.
  struct Copies {
    at::Tensor exact, written;
  };

  std::vector<TensorHead> heads() const {
    std::vector<TensorHead> heads;
    for (const StoredWeight& weight : source_.stored()) heads.push_back({weight.spec.name, dtype_, weight.spec.shape});
    return heads;
  }

  const StoredWeight& next_stored() { return source_.stored()[num_read_++]; }

  at::Tensor write(const StoredWeight& weight, const at::Tensor& exact) {
    const at::Tensor rounded = exact.to(dtype_);
    writer_.write(weight.spec.name, rounded);
    report_.written_bytes += static_cast<std::int64_t>(rounded.nbytes());
    return rounded.to(at::kFloat);
  }

  Copies next_other() {
    const StoredWeight& weight = next_stored();
    const at::Tensor exact = source_.next()[0].to(at::kFloat);
    return {exact, write(weight, exact)};
  }

  /// Of a quantised one what training multiplied with: rounded to the dtype of the products.
  at::Tensor next_projection() {
    const StoredWeight& weight = next_stored();
    const WeightParts parts = source_.next();
    if (!weight.nf4) return parts[0].to(at::kFloat);
    report_.base_was_quantized = true;
    at::Tensor dense = at::empty(weight.spec.shape, at::kFloat);
    const at::ScalarType rounding = source_.compute_dtype() == at::kDouble ? at::kFloat : source_.compute_dtype();
    ops::nf4_dequantize(nf4_from_parts(weight, parts), dense, rounding);
    return dense;
  }

  /// Empty where the head is a tensor of its own.
  Copies export_embedding() {
    const Copies embedding = next_other();
    models_.unmerged.embed(embedding.exact);
    models_.merged.embed(embedding.exact);
    models_.written.embed(embedding.written);
    return config_.tie_word_embeddings ? embedding : Copies{};
  }

  void export_layer(std::int64_t layer) {
    LayerWeights unmerged, merged, written;
    for (const LayerTensor& tensor : layer_tensors(config_)) {
      if (tensor.kind != LayerTensor::Kind::projection) {
        const Copies copies = next_other();
        unmerged.put(tensor, copies.exact);
        merged.put(tensor, copies.exact);
        written.put(tensor, copies.written);
        continue;
      }
      const Projection p = tensor.projection;
      const StoredWeight& weight = source_.stored()[num_read_];
      const at::Tensor base = next_projection();
      const LoraGroup& group = store_.group(layer, lora_group_of(p));
      const at::Tensor exact = merged_weight(base, group, p);
      report_.num_merged += std::count(group.members.begin(), group.members.end(), p);
      unmerged.projections[index_of(p)] = FrozenLinear(base);
      merged.projections[index_of(p)] = FrozenLinear(exact);
      written.projections[index_of(p)] = FrozenLinear(write(weight, exact));
    }
    models_.unmerged.layer(unmerged);
    models_.merged.layer(merged);
    models_.written.layer(written);
  }

  void compare(const at::Tensor& unmerged, const at::Tensor& merged, const at::Tensor& written) {
    report_.rms_logit = rms(unmerged);
    report_.rms_merge_difference = rms(merged - unmerged);
    report_.rms_written_difference = rms(written - unmerged);
    report_.max_written_difference = (written - unmerged).abs().max().item<double>();
    if (!std::isfinite(report_.rms_logit) || !std::isfinite(report_.rms_written_difference))
      core::user_error("the logits of {} with {} are not finite as {}; is float32 needed?", report_.base_model,
                       report_.adapter, report_.dtype);
    if (report_.rms_merge_difference > kMergeTolerance * report_.rms_logit)
      core::fault("merging moved the logits by {} (rms), of {}", report_.rms_merge_difference, report_.rms_logit);
  }

  const ExportJob& job_;
  WeightSource source_;
  const ModelConfig& config_;
  LoraStore store_;
  at::ScalarType dtype_;
  core::StagingDirectory staging_;
  CheckpointWriter writer_;
  Models models_;
  size_t num_read_ = 0;
  ExportReport report_;
};

}  // namespace

ExportReport export_merged(const ExportJob& job) {
  if (is_random_base(job.model_name_or_path))
    core::user_error("model_name_or_path = {}: expected a directory", job.model_name_or_path);
  return Exporter(job).run();
}

}  // namespace allreco::model
