// The fields of a serialised protobuf message, one after another: enough to look into a SentencePiece model, whose
// library installs no header for them.
#pragma once
#include <cstdint>
#include <functional>
#include <string_view>

namespace allreco::data {

struct ProtobufField {
  std::uint64_t number = 0;
  std::uint64_t value = 0;      // of a varint (numbers, flags, enums); else 0
  std::string_view bytes = {};  // of texts and messages; else empty
  bool is_bytes = false;
};

/// Calls visit with each field until it returns false. False then, and where the message is malformed; a tag that does
/// not fit 32 bits is, so that the library cannot take it for another one.
bool for_each_field(std::string_view message, const std::function<bool(const ProtobufField&)>& visit);

}  // namespace allreco::data
