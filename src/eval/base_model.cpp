#include "eval/base_model.h"

#include <optional>

#include "core/check.h"
#include "core/json.h"
#include "model/weights_stream.h"

namespace allreco::eval {
namespace {

/// What every rank must know before the first tensor comes.
struct Announcement {
  model::ModelConfig config;
  at::ScalarType dtype;
};

Announcement announce(dist::Session& session, const std::optional<model::WeightsStream>& stream,
                      const std::string& model_name_or_path) {
  core::Json json;
  if (stream) json = {{"config", stream->config_json()}, {"dtype", static_cast<int>(stream->dtype())}};
  json = core::Json::parse(session.broadcast(json.dump()));
  return {model::parse_model_config(json["config"], model_name_or_path + "/config.json"),
          static_cast<at::ScalarType>(json["dtype"].get<int>())};
}

}  // namespace

model::BaseModel load_base_model(dist::Session& session, const BaseModelRequest& request) {
  if (request.model_loading == "broadcast" && !model::is_random_base(request.model_name_or_path))
    return broadcast_base_model(session, dist::NodeGroups(session), request);
  return model::load_base_model(request.model_name_or_path, request.dtype, request.device);
}

model::BaseModel broadcast_base_model(dist::Session& session, const dist::NodeGroups& nodes,
                                      const BaseModelRequest& request) {
  std::optional<model::WeightsStream> stream;  // on rank 0, which leads its node
  session.together("opening the model", [&] {
    if (session.is_leader()) stream.emplace(request.model_name_or_path, request.dtype);
  });
  const Announcement base = announce(session, stream, request.model_name_or_path);
  const model::WeightLayout layout = model::weight_layout(base.config, base.dtype);
  dist::NodeShared shared(session, nodes, layout.num_bytes);
  std::vector<at::Tensor> tensors;
  std::string fingerprint;
  session.together("reading the model's weights", [&] {
    for (size_t i = 0; i < layout.specs.size(); ++i) {
      tensors.push_back(shared.view(layout.first_bytes[i], layout.specs[i].shape, layout.dtype));
      if (stream) tensors.back().copy_(stream->next());
      nodes.broadcast_to_leaders(tensors.back());
    }
    if (stream) fingerprint = stream->fingerprint();
  });
  shared.publish();
  for (at::Tensor& tensor : tensors) tensor = tensor.to(request.device);
  return {base.config, model::assemble(base.config, tensors), request.model_name_or_path,
          session.broadcast(fingerprint)};
}

}  // namespace allreco::eval
