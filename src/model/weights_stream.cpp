#include "model/weights_stream.h"

#include <filesystem>

#include "core/check.h"
#include "model/checkpoint_checks.h"
#include "model/fingerprint.h"

namespace allreco::model {
namespace {

constexpr std::int64_t kAlignment = 64;  // a cache line, and what vector loads like

core::Json read_config_json(const std::string& directory) {
  check_directory(directory);
  return core::read_json_file(std::filesystem::path(directory) / "config.json");
}

}  // namespace

WeightLayout weight_layout(const ModelConfig& config, at::ScalarType dtype) {
  WeightLayout layout{dtype, expected_tensors(config), {}, 0};
  for (const TensorSpec& spec : layout.specs) {
    layout.first_bytes.push_back(layout.num_bytes);
    std::int64_t bytes = static_cast<std::int64_t>(c10::elementSize(dtype));
    for (const std::int64_t extent : spec.shape) bytes *= extent;
    layout.num_bytes += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }
  return layout;
}

WeightsStream::WeightsStream(const std::string& directory, const std::string& dtype)
    : directory_(directory),
      config_json_(read_config_json(directory)),
      config_(parse_model_config(config_json_, (std::filesystem::path(directory) / "config.json").string())),
      checkpoint_(directory, FileAccess::read),
      dtype_(at::kFloat),
      specs_(expected_tensors(config_)) {
  check_names(checkpoint_, config_, directory_);
  dtype_ = choose_dtype(checkpoint_, directory_, dtype);
  check_tied_head(checkpoint_, config_);
  for (const TensorSpec& spec : specs_) check_tensor(checkpoint_, spec);
}

at::Tensor WeightsStream::read(const std::string& name) {
  at::Tensor tensor = checkpoint_.tensor(name);
  fingerprint_parts_.emplace(name, fingerprint_part(tensor));
  return tensor;
}

at::Tensor WeightsStream::next() {
  core::require(num_read_ < specs_.size(), "a stream of weights was read beyond its end");
  return read(specs_[num_read_++].name).to(dtype_);
}

std::string WeightsStream::fingerprint() {
  core::require(num_read_ == specs_.size(), "the fingerprint of a base needs all of its tensors");
  for (const std::string& name : checkpoint_.names()) {  // those that the computation does not use
    if (!fingerprint_parts_.contains(name)) read(name);
  }
  return fingerprint_of(config_, fingerprint_parts_);
}

}  // namespace allreco::model
