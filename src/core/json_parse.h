// Parsing JSON of any size in a time that grows with the text alone.
#pragma once
#include <string_view>

#include "core/json.h"

namespace allreco::core {

/// Json::parse, which takes the square of an object's keys, without that. Throws nlohmann's exceptions. Of a key that
/// comes twice the last value counts. REQUIRES that the text does not nest too deeply.
Json parsed(std::string_view text);

}  // namespace allreco::core
