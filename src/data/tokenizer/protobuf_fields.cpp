#include "data/tokenizer/protobuf_fields.h"

#include <optional>

namespace allreco::data {

namespace {

std::optional<std::uint64_t> take_varint(std::string_view& bytes) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

/// The bytes that a field takes behind its tag and, of a varint, behind its value; none where the type is not known.
std::optional<std::uint64_t> take_size(std::uint64_t wire_type, std::string_view& message, ProtobufField& field) {
  if (wire_type == 1) return 8;
  if (wire_type == 5) return 4;
  const auto number = wire_type == 0 || wire_type == 2 ? take_varint(message) : std::nullopt;
  if (!number) return std::nullopt;
  field.is_bytes = wire_type == 2;
  if (field.is_bytes) return number;
  field.value = *number;
  return 0;
}

}  // namespace

bool for_each_field(std::string_view message, const std::function<bool(const ProtobufField&)>& visit) {
  while (!message.empty()) {
    const auto tag = take_varint(message);
    if (!tag || *tag > UINT32_MAX) return false;
    ProtobufField field{.number = *tag >> 3};
    const auto size = take_size(*tag & 7, message, field);
    if (!size || *size > message.size()) return false;
    if (field.is_bytes) field.bytes = message.substr(0, *size);
    if (!visit(field)) return false;
    message.remove_prefix(*size);
  }
  return true;
}

}  // namespace allreco::data
