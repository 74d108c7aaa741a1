#include "data/input/review_values.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>

namespace allreco::data {

namespace {

constexpr double kFirstSecond = -62'167'219'200;  // the year 0, from which on parse_review_time takes them

bool is_whole(const LineField& field) {
  return field.kind == LineField::Kind::number && std::floor(field.number) == field.number;
}

}  // namespace

std::string rating_of(const LineField& field, const char* name, float& rating) {
  if (field.kind != LineField::Kind::number) return fmt::format("no {} (a number) in it", name);
  if (!(field.number >= 0 && field.number <= kMostStars))
    return fmt::format("{} is {}: ratings are 0 to {} stars", name, field.number, kMostStars);
  rating = static_cast<float>(field.number);
  return "";
}

std::string seconds_of(const LineField& field, const char* name, std::int64_t& seconds) {
  if (!is_whole(field)) return fmt::format("{} is no whole number of seconds", name);
  if (std::abs(field.number) >= kFirstMillisecond)
    return fmt::format("{} is {}: seconds since 1970 are expected, not milliseconds", name, field.number);
  if (field.number < kFirstSecond) return fmt::format("{} is before the year 0", name);
  seconds = static_cast<std::int64_t>(field.number);
  return "";
}

std::string milliseconds_of(const LineField& field, const char* name, std::int64_t& milliseconds) {
  if (!is_whole(field)) return fmt::format("{} is no whole number of milliseconds", name);
  if (field.number < kFirstMillisecond)
    return fmt::format("{} is {}: milliseconds since 1970 are expected, not seconds", name, field.number);
  if (field.number >= 1000 * kFirstMillisecond)
    return fmt::format("{} is {}: milliseconds since 1970 are expected", name, field.number);
  milliseconds = static_cast<std::int64_t>(field.number);
  return "";
}

LineField number_field(std::string_view text) {
  LineField field;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), field.number);
  const bool is_number = error == std::errc{} && end == text.data() + text.size() && std::isfinite(field.number);
  if (is_number) field.kind = LineField::Kind::number;
  return field;
}

}  // namespace allreco::data
