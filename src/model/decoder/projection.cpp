#include "model/decoder/projection.h"

#include "model/families/config.h"

namespace allreco::model {

namespace {
constexpr std::array<std::string_view, kNumProjections> kPaths{
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};
}  // namespace

std::string_view module_path_of(Projection p) { return kPaths[index_of(p)]; }

std::string_view name_of(Projection p) {
  const std::string_view path = module_path_of(p);
  return path.substr(path.find('.') + 1);
}

std::optional<Projection> projection_from_name(std::string_view name) {
  for (Projection p : kProjections) {
    if (name_of(p) == name) return p;
  }
  return std::nullopt;
}

std::pair<std::int64_t, std::int64_t> shape_of(Projection p, const ModelConfig& config) {
  const std::int64_t query_size = config.num_attention_heads * config.head_dim;
  const std::int64_t key_size = config.num_key_value_heads * config.head_dim;
  switch (p) {
    case Projection::q:
      return {query_size, config.hidden_size};
    case Projection::k:
    case Projection::v:
      return {key_size, config.hidden_size};
    case Projection::o:
      return {config.hidden_size, query_size};
    case Projection::gate:
    case Projection::up:
      return {config.intermediate_size, config.hidden_size};
    case Projection::down:
      return {config.hidden_size, config.intermediate_size};
  }
  return {0, 0};
}

}  // namespace allreco::model
