#include "data/input/line_fields.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "data/input/json_lines.h"
#include "data/input/line_reader.h"

namespace allreco::data {
namespace dom = simdjson::dom;
using core::Json;

namespace {

static_assert(kLinePadding >= simdjson::SIMDJSON_PADDING);

/// Below core::kMaxJsonDepth, however simdjson counts; what lies deeper is for the slower parser to judge.
constexpr size_t kMaxDepth = core::kMaxJsonDepth - 2;

void set(LineField& field, dom::element value) {
  field.list.clear();
  switch (value.type()) {
    case dom::element_type::STRING:
      field.kind = LineField::Kind::text, field.text = value.get_string().value_unsafe();
      break;
    case dom::element_type::BOOL:
      field.kind = LineField::Kind::flag, field.flag = value.get_bool().value_unsafe();
      break;
    case dom::element_type::NULL_VALUE:
      field.kind = LineField::Kind::null;
      break;
    case dom::element_type::OBJECT:
      field.kind = LineField::Kind::object;
      break;
    case dom::element_type::ARRAY: {
      field.kind = LineField::Kind::list;
      const dom::array entries = value.get_array().value_unsafe();
      for (const dom::element entry : entries) {
        std::string_view text;
        if (entry.is_string()) text = entry.get_string().value_unsafe();
        field.list.push_back(text);
      }
      break;
    }
    default:
      field.kind = LineField::Kind::number, field.number = value.get_double().value_unsafe();
  }
}

std::string_view text_of(const Json& value) {
  return value.is_string() ? std::string_view(value.get_ref<const std::string&>()) : std::string_view();
}

void set(LineField& field, const Json& value) {
  field.list.clear();
  if (value.is_null()) field.kind = LineField::Kind::null;
  if (value.is_boolean()) field.kind = LineField::Kind::flag, field.flag = value.get<bool>();
  if (value.is_number()) field.kind = LineField::Kind::number, field.number = value.get<double>();
  if (value.is_string()) field.kind = LineField::Kind::text, field.text = text_of(value);
  if (value.is_object()) field.kind = LineField::Kind::object;
  if (!value.is_array()) return;
  field.kind = LineField::Kind::list;
  for (const Json& entry : value) field.list.push_back(text_of(entry));
}

int hex_digits(const char* text) {
  int value = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = text[i];
    value = 16 * value + (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
  }
  return value;
}

/// Some versions of simdjson take the second half of a surrogate pair for a character where it stands alone.
/// REQUIRES JSON that simdjson took, so that each escape is whole.
bool has_lone_low_surrogate(std::string_view line) {
  bool after_high = false;
  for (size_t at = line.find('\\'); at != std::string_view::npos; at = line.find('\\', at)) {
    const bool is_code = line[at + 1] == 'u';
    const int code = is_code ? hex_digits(line.data() + at + 2) : 0;
    const bool is_low = code >= 0xDC00 && code <= 0xDFFF;
    if (is_low && !after_high) return true;
    after_high = code >= 0xD800 && code <= 0xDBFF;  // simdjson has seen to it that a low one follows at once
    at += is_code ? 6 : 2;
  }
  return false;
}

}  // namespace

struct FieldParser::State {
  /// The object, unless simdjson refuses the line.
  std::optional<dom::object> fast_object(std::string_view line) {
    if (parser.capacity() < line.size() &&
        parser.allocate(std::max<size_t>(2 * line.size(), 4096), kMaxDepth) != simdjson::SUCCESS)
      return std::nullopt;
    dom::object object;
    const bool copy = false;  // LineReader leaves the padding that simdjson reads over
    if (parser.parse(line.data(), line.size(), copy).get(object) != simdjson::SUCCESS) return std::nullopt;
    if (has_lone_low_surrogate(line)) return std::nullopt;
    return object;
  }

  /// The keys' indices by their lengths: most keys of a line are none of those that are asked for.
  void set_keys(std::vector<std::string> wanted) {
    for (size_t i = 0; i < wanted.size(); ++i) of_length(wanted[i].size()).push_back(i);
    keys = std::move(wanted);
  }
  std::vector<size_t>& of_length(size_t length) { return by_length[std::min(length, by_length.size() - 1)]; }

  std::array<std::vector<size_t>, 32> by_length;
  std::vector<std::string> keys;
  dom::parser parser;
  Json slow_object;
};

FieldParser::FieldParser(std::vector<std::string> keys) : fields_(keys.size()), state_(std::make_unique<State>()) {
  state_->set_keys(std::move(keys));
}
FieldParser::~FieldParser() = default;
FieldParser::FieldParser(FieldParser&&) noexcept = default;

std::string FieldParser::parse(std::string_view line) {
  for (LineField& field : fields_) {
    field.kind = LineField::Kind::missing;
    field.list.clear();
  }
  const auto take = [&](std::string_view key, const auto& value) {
    for (const size_t i : state_->of_length(key.size()))
      if (state_->keys[i] == key) set(fields_[i], value);
  };
  if (const auto object = state_->fast_object(line)) {
    for (const auto [key, value] : *object) take(key, value);
    return "";
  }
  std::string problem = parse_object(line, state_->slow_object);
  if (!problem.empty()) return problem;
  for (const auto& [key, value] : state_->slow_object.items()) take(key, value);
  return "";
}

}  // namespace allreco::data
