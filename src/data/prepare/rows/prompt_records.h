// Ready prompts as bytes: how they wait, and travel between ranks.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/spool.h"
#include "data/input/prompt_rows.h"
#include "data/prepare/rows/row_splits.h"

namespace allreco::data {

struct PromptRecord {
  ParsedRow row;  // not malformed; without its texts unless it is usable
  std::optional<Split> split;
  std::uint64_t place = 0;                // RowPlace
  bool was_searched_for_options = false;  // its texts: row.options holds what was found
};

/// What begins a packed record.
struct PromptHeader {
  std::uint64_t num_bytes;  // with the header
  std::uint64_t place, user;
  std::int64_t timestamp;
  std::uint32_t num_options;
  std::uint8_t known;  // which of the optional fields there are
  std::uint8_t split, gold, fate;

  bool has_user() const { return (known & kUser) != 0; }
  bool has_timestamp() const { return (known & kTimestamp) != 0; }
  bool was_searched() const { return (known & kSearched) != 0; }
  RowFate row_fate() const { return static_cast<RowFate>(fate); }

  static constexpr int kUser = 1, kTimestamp = 2, kGold = 4, kSplit = 8, kSearched = 16;
};

void pack_prompt(const PromptRecord& record, std::string& bytes);
PromptHeader prompt_header(std::string_view record);
PromptRecord unpack_prompt(std::string_view record);
/// The next record's bytes, which are there until the next call.
std::string_view read_prompt(core::SpoolReader& reader);
/// What its split may depend on.
RowKey key_of_prompt(const PromptRecord& record);

}  // namespace allreco::data
