// The number of a token.
#pragma once
#include <cstdint>

namespace allreco::data {

using TokenId = std::int32_t;

}  // namespace allreco::data
