#include "data/tokenizer/json_fields.h"

#include "core/check.h"

namespace allreco::data {

const Fields& field(const Fields& object, const char* key, const std::string& where) {
  if (!object.is_object()) core::user_error("{}: a JSON object is needed, not {}", where, object.type_name());
  const auto found = object.find(key);
  if (found == object.end()) core::user_error("{}: the field \"{}\" is missing", where, key);
  return *found;
}

std::string text_field(const Fields& object, const char* key, const std::string& where) {
  const Fields& value = field(object, key, where);
  if (!value.is_string()) core::user_error("{}: \"{}\" must be a text, not {}", where, key, value.type_name());
  return value.get<std::string>();
}

bool flag_field(const Fields& object, const char* key, const std::string& where) {
  const Fields& value = field(object, key, where);
  if (!value.is_boolean()) core::user_error("{}: \"{}\" must be true or false, not {}", where, key, value.type_name());
  return value.get<bool>();
}

bool flag_field(const Fields& object, const char* key, bool absent, const std::string& where) {
  return object.is_object() && !object.contains(key) ? absent : flag_field(object, key, where);
}

std::int64_t count_field(const Fields& object, const char* key, const std::string& where) {
  const Fields& value = field(object, key, where);
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > INT32_MAX) {
    core::user_error("{}: \"{}\" must be a whole number from 0 to {}, not {}", where, key, INT32_MAX, value.dump());
  }
  return value.get<std::int64_t>();
}

const std::vector<Fields>& list_field(const Fields& object, const char* key, int depth, const std::string& where) {
  const Fields& value = field(object, key, where);
  if (!value.is_array()) core::user_error("{}: \"{}\" must be a list, not {}", where, key, value.type_name());
  if (depth > kMaxComponentDepth) core::user_error("{}: nested deeper than {} levels", where, kMaxComponentDepth);
  if (value.size() > kMaxSteps)
    core::user_error("{}: \"{}\" has {} entries; at most {} are allowed", where, key, value.size(), kMaxSteps);
  return value.get_ref<const std::vector<Fields>&>();
}

void check_growth(size_t before, size_t after, const std::string& where) {
  constexpr size_t kMostTimes = 32, kFreeBytes = 4096;  // NFKD makes 11 of one (U+FDFA), byte-level characters 2
  if (after <= kFreeBytes || after / kMostTimes <= before) return;
  core::user_error("{} makes {} bytes of a text of {}; no tokenizer needs more than {} times as many", where, after,
                   before, kMostTimes);
}

void refuse_type(const std::string& type, const char* supported, const std::string& where) {
  core::user_error(
      "{}: {} is not supported; what is: {}. Make the ids with the model's own tokenizer and give them to "
      "`prepare --tokens`",
      where, type, supported);
}

}  // namespace allreco::data
