// How the memory that a rank may use is shared out between the parts of a preparation.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "core/spool.h"

namespace allreco::data {

/// "256MiB", "2GiB", "1.5GB", "800000000" or "0" (none) in bytes. UserError naming the option, what was found and what
/// is expected; also for less than kSmallestLimit.
std::uint64_t parse_memory_limit(const std::string& text);

inline constexpr std::uint64_t kSmallestLimit = std::uint64_t{32} << 20;

/// Shares of one limit: what is held at the same time stays below it together.
struct MemoryPlan {
  std::uint64_t limit = 0;                // 0: none
  std::filesystem::path spill_directory;  // of nameless files

  std::uint64_t sorter() const { return limit / 2; }  // 0: none
  /// Of each of the two spools that are alive at a time.
  std::uint64_t spool() const { return limit == 0 ? core::Spool::kAlwaysInMemory : limit / 8; }
  /// What a rank receives in a round; a few copies of it are alive at a time.
  std::size_t round() const;
  /// UserError unless a catalogue of so many items and bytes of text leaves room for the rest.
  void require_room_for_items(std::size_t num_items, std::uint64_t text_bytes) const;
};

}  // namespace allreco::data
