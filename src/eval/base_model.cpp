#include "eval/base_model.h"

#include <optional>

#include "core/check.h"
#include "core/json.h"
#include "dist/gpu_placement.h"
#include "model/checkpoint/stored_weights.h"
#include "model/checkpoint/weight_source.h"
#include "model/device.h"

namespace allreco::eval {
namespace {

/// What every rank must know before the first weight comes.
struct Announcement {
  model::ModelConfig config;
  at::ScalarType compute_dtype;
  std::string storage;
  model::WeightLayout layout;
};

Announcement announce(dist::Session& session, const std::optional<model::WeightSource>& source,
                      const std::string& model_name_or_path) {
  core::Json json;
  if (session.is_leader()) {
    json = {{"config", source->base().json},
            {"compute_dtype", static_cast<int>(source->compute_dtype())},
            {"storage", source->storage()},
            {"layout", model::WeightLayout(source->stored()).to_json()}};
  }
  json = core::Json::parse(session.broadcast(json.dump()));
  const bool is_random = model::is_random_base(model_name_or_path);
  return {is_random ? model::read_base_config(model_name_or_path).config
                    : model::parse_model_config(json["config"], model_name_or_path + "/config.json"),
          static_cast<at::ScalarType>(json["compute_dtype"].get<int>()), json["storage"].get<std::string>(),
          model::WeightLayout(json["layout"])};
}

std::vector<model::WeightParts> views_of(const dist::NodeShared& shared, const model::WeightLayout& layout) {
  std::vector<model::WeightParts> weights;
  for (size_t i = 0; i < layout.weights().size(); ++i) {
    model::WeightParts& parts = weights.emplace_back();
    for (const model::WeightLayout::Part& part : layout.parts_of(i))
      parts.push_back(shared.view(part.first_byte, part.shape, part.dtype));
  }
  return weights;
}

/// Nodes may see other files under the same name.
void check_same_base(dist::Session& session, const dist::NodeGroups& nodes, const std::string& own,
                     const std::string& of_rank_zero, const std::string& model_name_or_path) {
  session.together("comparing the nodes' models", [&] {
    if (nodes.is_leader() && own != of_rank_zero)
      core::user_error("{} is another model on this node than on rank 0's", model_name_or_path);
  });
}

at::Device device_of(const dist::Session& session, const BaseModelOptions& options) {
  return model::choose_device(options.device, session.local_rank());
}

}  // namespace

at::Device claim_device(dist::Session& session, const BaseModelOptions& options) {
  const at::Device device = device_of(session, options);
  dist::check_gpu_placement(session, device, options.allow_gpu_sharing);
  if (options.device != "cpu") dist::warn_of_unused_gpus(session, device);
  return device;
}

model::BaseModel load_base_model(dist::Session& session, const BaseModelOptions& options) {
  return load_base_model(session, options, claim_device(session, options));
}

model::BaseModel load_base_model(dist::Session& session, const BaseModelOptions& options, at::Device device) {
  const bool is_random = model::is_random_base(options.model_name_or_path);
  if (options.model_loading == "broadcast" && !is_random)
    return load_shared_base_model(session, dist::NodeGroups(session), options, BaseReaders::rank_zero);
  const auto holds_nf4 = [&] {
    return model::read_base_config(options.model_name_or_path).config.quantization.has_value();
  };
  if (options.quantization.load_in_4bit && !holds_nf4())
    return load_shared_base_model(session, dist::NodeGroups(session), options, BaseReaders::node_leaders);
  return model::load_base_model(options.model_name_or_path, options.dtype, device, options.quantization);
}

model::BaseModel load_shared_base_model(dist::Session& session, const dist::NodeGroups& nodes,
                                        const BaseModelOptions& options, BaseReaders readers) {
  const bool travels = readers == BaseReaders::rank_zero;
  std::optional<model::WeightSource> source;  // rank 0 leads its node, too
  session.together("opening the model", [&] {
    if (travels ? session.is_leader() : nodes.is_leader()) {
      source.emplace(options.model_name_or_path, options.dtype, options.quantization, model::FileAccess::read);
    }
  });
  const Announcement base = announce(session, source, options.model_name_or_path);
  dist::NodeShared shared(session, nodes, base.layout.num_bytes());
  std::vector<model::WeightParts> weights = views_of(shared, base.layout);
  std::string fingerprint;
  session.together("reading the model's weights", [&] {
    for (const model::WeightParts& parts : weights) {
      const model::WeightParts read = source ? source->next() : model::WeightParts();
      for (size_t i = 0; i < parts.size(); ++i) {
        if (source) parts[i].copy_(read[i]);
        if (travels) nodes.broadcast_to_leaders(parts[i]);
      }
    }
    if (source) fingerprint = source->fingerprint();
  });
  shared.publish();
  const at::Device device = device_of(session, options);
  for (model::WeightParts& parts : weights) {
    for (at::Tensor& part : parts) part = part.to(device);
  }
  const std::string of_rank_zero = session.broadcast(fingerprint);
  if (!travels) check_same_base(session, nodes, fingerprint, of_rank_zero, options.model_name_or_path);
  return {base.config, model::assemble(base.config, base.layout.weights(), weights, base.compute_dtype),
          options.model_name_or_path, of_rank_zero, base.storage};
}

}  // namespace allreco::eval
