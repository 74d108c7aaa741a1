// The seven projections of a decoder layer, by the names that Hugging Face and PEFT give them.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace allreco::model {

struct ModelConfig;

enum class Projection { q, k, v, o, gate, up, down };
inline constexpr std::array kProjections{Projection::q,    Projection::k,  Projection::v,   Projection::o,
                                         Projection::gate, Projection::up, Projection::down};
inline constexpr size_t kNumProjections = kProjections.size();
constexpr size_t index_of(Projection p) { return static_cast<size_t>(p); }

/// "q_proj", ...
std::string_view name_of(Projection p);
/// "self_attn.q_proj", ..., "mlp.down_proj"
std::string_view module_path_of(Projection p);
std::optional<Projection> projection_from_name(std::string_view name);
/// {out_features, in_features}
std::pair<std::int64_t, std::int64_t> shape_of(Projection p, const ModelConfig& config);

}  // namespace allreco::model
