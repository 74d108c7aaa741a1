// The dtypes of safetensors files, by the format's names.
#pragma once
#include <c10/core/ScalarType.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "core/check.h"

namespace allreco::model {

/// In the order in which the safetensors library lays tensors out: wider ones first.
inline constexpr std::array<std::pair<std::string_view, at::ScalarType>, 10> kSafetensorsDtypes{
    {{"I64", at::kLong},
     {"F64", at::kDouble},
     {"F32", at::kFloat},
     {"I32", at::kInt},
     {"BF16", at::kBFloat16},
     {"F16", at::kHalf},
     {"I16", at::kShort},
     {"I8", at::kChar},
     {"U8", at::kByte},
     {"BOOL", at::kBool}}};

inline std::optional<at::ScalarType> safetensors_dtype_from_name(std::string_view name) {
  for (const auto& [known, dtype] : kSafetensorsDtypes) {
    if (known == name) return dtype;
  }
  return std::nullopt;
}

/// Place in the layout order. Fault for a dtype that this program never writes.
inline size_t safetensors_order_of(at::ScalarType dtype) {
  const auto found = std::find_if(kSafetensorsDtypes.begin(), kSafetensorsDtypes.end(),
                                  [&](const auto& entry) { return entry.second == dtype; });
  core::require(found != kSafetensorsDtypes.end(), "safetensors files hold no such dtype");
  return static_cast<size_t>(found - kSafetensorsDtypes.begin());
}

inline std::string_view safetensors_name_of(at::ScalarType dtype) {
  return kSafetensorsDtypes[safetensors_order_of(dtype)].first;
}

}  // namespace allreco::model
