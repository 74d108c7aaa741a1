#include "data/prepare/memory_plan.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string_view>
#include <utility>

#include "core/check.h"
#include "data/prepare/ranks.h"

namespace allreco::data {

namespace {

constexpr double kBytesOfMiB = 1 << 20;

/// An item's texts beside their bytes, its counts, and its places in what negatives are drawn from.
constexpr std::uint64_t kBytesOfItem = 420;

double unit_of(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, double>, 10> units{{{"", 1.0},
                                                                       {"B", 1.0},
                                                                       {"KB", 1e3},
                                                                       {"MB", 1e6},
                                                                       {"GB", 1e9},
                                                                       {"TB", 1e12},
                                                                       {"KiB", 1024.0},
                                                                       {"MiB", 1024.0 * 1024},
                                                                       {"GiB", 1024.0 * 1024 * 1024},
                                                                       {"TiB", 1024.0 * 1024 * 1024 * 1024}}};
  for (const auto& [name, factor] : units)
    if (text == name) return factor;
  return 0;
}

}  // namespace

std::uint64_t parse_memory_limit(const std::string& text) {
  double number = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number);
  std::string_view unit(end, static_cast<std::size_t>(last - end));
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  const double bytes = number * unit_of(unit);
  if (error != std::errc{} || unit_of(unit) == 0 || !(bytes >= 0 && bytes < 0x1p60))
    core::user_error("memory_limit = {}: a size such as 256MiB or 2GiB expected, or 0 for none", text);
  if (bytes > 0 && bytes < static_cast<double>(kSmallestLimit))
    core::user_error("memory_limit = {}: at least {} MiB, or 0 for none", text, kSmallestLimit >> 20);
  return static_cast<std::uint64_t>(bytes);
}

std::size_t MemoryPlan::round() const {
  if (limit == 0) return std::size_t{16} << 20;
  return static_cast<std::size_t>(std::clamp<std::uint64_t>(limit / 64, 1 << 18, 16 << 20));
}

void MemoryPlan::require_room_for_items(std::size_t num_items, std::uint64_t text_bytes) const {
  const std::uint64_t needed = num_items * kBytesOfItem + text_bytes;
  if (limit == 0 || needed <= limit / 2) return;
  core::user_error(
      "memory_limit = {:.0f} MiB: the {} items that were reviewed take {:.0f} MiB of each rank, of which at most half "
      "of the limit may be; give at least {:.0f} MiB",
      static_cast<double>(limit) / kBytesOfMiB, num_items, static_cast<double>(needed) / kBytesOfMiB,
      std::ceil(2 * static_cast<double>(needed) / kBytesOfMiB));
}

}  // namespace allreco::data
