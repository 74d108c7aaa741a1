#include "data/prepare/rows/prompt_records.h"

#include <cstring>

#include "data/prepare/packed_text.h"

namespace allreco::data {

namespace {

template <class T>
std::optional<T> if_known(bool is_known, T value) {
  return is_known ? std::optional(value) : std::nullopt;
}

}  // namespace

void pack_prompt(const PromptRecord& record, std::string& bytes) {
  const ParsedRow& row = record.row;
  PromptHeader header{};
  header.place = record.place;
  header.user = row.user.value_or(0);
  header.timestamp = row.timestamp.value_or(0);
  header.num_options = static_cast<std::uint32_t>(row.options.size());
  header.known =
      static_cast<std::uint8_t>((row.user ? PromptHeader::kUser : 0) | (row.timestamp ? PromptHeader::kTimestamp : 0) |
                                (row.gold ? PromptHeader::kGold : 0) | (record.split ? PromptHeader::kSplit : 0) |
                                (record.was_searched_for_options ? PromptHeader::kSearched : 0));
  header.split = static_cast<std::uint8_t>(record.split.value_or(Split::train));
  header.gold = row.gold.value_or(0);
  header.fate = static_cast<std::uint8_t>(row.fate);
  const std::size_t begin = bytes.size();
  append_number(bytes, header);
  for (const std::string* text : {&row.text.instruction, &row.text.input, &row.text.output}) append_text(bytes, *text);
  for (const std::string& option : row.options) append_text(bytes, option);
  header.num_bytes = bytes.size() - begin;
  std::memcpy(bytes.data() + begin, &header, sizeof header);
}

PromptHeader prompt_header(std::string_view record) { return take_number<PromptHeader>(record); }

PromptRecord unpack_prompt(std::string_view bytes) {
  const auto header = take_number<PromptHeader>(bytes);
  const auto has = [&](int what) { return (header.known & what) != 0; };
  PromptRecord record;
  record.place = header.place;
  record.split = if_known(has(PromptHeader::kSplit), static_cast<Split>(header.split));
  record.was_searched_for_options = header.was_searched();
  ParsedRow& row = record.row;
  row.user = if_known(header.has_user(), header.user);
  row.timestamp = if_known(header.has_timestamp(), header.timestamp);
  row.gold = if_known(has(PromptHeader::kGold), header.gold);
  row.fate = header.row_fate();
  for (std::string* text : {&row.text.instruction, &row.text.input, &row.text.output}) *text = take_text(bytes);
  for (std::uint32_t i = 0; i < header.num_options; ++i) row.options.emplace_back(take_text(bytes));
  return record;
}

std::string_view read_prompt(core::SpoolReader& reader) {
  return reader.read(prompt_header(reader.peek(sizeof(PromptHeader))).num_bytes);
}

RowKey key_of_prompt(const PromptRecord& record) {
  return {record.split, record.row.user, record.row.timestamp, record.place};
}

}  // namespace allreco::data
