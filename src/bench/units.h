// How bench prints sizes.
#pragma once
#include <fmt/format.h>

#include <cstdint>
#include <string>

namespace allreco::bench {

inline std::string gib(std::int64_t bytes) { return fmt::format("{:.3f}", static_cast<double>(bytes) / (1 << 30)); }

}  // namespace allreco::bench
