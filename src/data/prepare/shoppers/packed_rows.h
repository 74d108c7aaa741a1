// Review rows as bytes: how they travel between ranks and lie in memory and in spilled runs.
#pragma once
#include <compare>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <tuple>

#include "data/input/reviews.h"

namespace allreco::data {

struct RowView {
  std::string_view user, item;  // in the packed bytes
  std::int64_t time_ms = 0;
  float rating = 0;
  bool verified = false;
};

struct PackedHeader {
  std::int64_t time_ms;
  std::uint32_t user_bytes, item_bytes;
  float rating;
  std::uint32_t verified;
};

inline void pack_row(const ReviewRow& row, std::string& bytes) {
  const PackedHeader header{row.time_ms, static_cast<std::uint32_t>(row.user.size()),
                            static_cast<std::uint32_t>(row.item.size()), row.rating, row.verified};
  bytes.append(reinterpret_cast<const char*>(&header), sizeof header);
  bytes += row.user;
  bytes += row.item;
}

inline PackedHeader header_of(const char* bytes) {
  PackedHeader header;
  std::memcpy(&header, bytes, sizeof header);
  return header;
}

inline std::size_t packed_size(const PackedHeader& header) {
  return sizeof header + header.user_bytes + header.item_bytes;
}

inline RowView unpack_row(const char* bytes) {
  const PackedHeader header = header_of(bytes);
  const char* user = bytes + sizeof header;
  return {{user, header.user_bytes},
          {user + header.user_bytes, header.item_bytes},
          header.time_ms,
          header.rating,
          header.verified != 0};
}

/// The order of all that follows: by shopper, item, time; the row to keep of equal ones first.
inline bool comes_before(const RowView& a, const RowView& b) {
  return std::tuple(a.user, a.item, a.time_ms, -a.rating, !a.verified) <
         std::tuple(b.user, b.item, b.time_ms, -b.rating, !b.verified);
}

/// The first eight bytes of a text as a number: orders as the texts do wherever it differs.
inline std::uint64_t prefix_of(std::string_view text) {
  std::uint64_t prefix = 0;
  for (std::size_t i = 0; i < 8; ++i)
    prefix = prefix << 8 | (i < text.size() ? static_cast<unsigned char>(text[i]) : 0U);
  return prefix;
}

}  // namespace allreco::data
