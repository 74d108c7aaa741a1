// The values of a review, in whatever dialect: what is right for a rating and a time.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "data/input/line_fields.h"

namespace allreco::data {

inline constexpr double kMostStars = 5;
/// What is as large is in milliseconds: as seconds the year 5138, as milliseconds 1973, before any review.
inline constexpr double kFirstMillisecond = 1e11;

/// Each returns "" and the value, or what is wrong; `name` is the field's.
std::string rating_of(const LineField& field, const char* name, float& rating);
/// Whole seconds since 1970, from the year 0 on; 1.5e9 and 1500000000.0 are whole, too.
std::string seconds_of(const LineField& field, const char* name, std::int64_t& seconds);
/// Whole milliseconds since 1970, from 1973 on.
std::string milliseconds_of(const LineField& field, const char* name, std::int64_t& milliseconds);

/// A whole text that is a number as csv has them; nothing of kind `missing` otherwise.
LineField number_field(std::string_view text);

}  // namespace allreco::data
