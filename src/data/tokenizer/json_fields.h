// Reading the fields of a tokenizer.json: every error names the file, the component and the field.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace allreco::data {

/// Not core::Json: its look-up is linear, and a vocabulary has 262,144 entries.
using Fields = nlohmann::json;

/// Components (Sequence) may be nested this deep.
inline constexpr int kMaxComponentDepth = 8;

/// `where`: "PATH: pre_tokenizer". UserError unless the field is there and of that kind.
const Fields& field(const Fields& object, const char* key, const std::string& where);
std::string text_field(const Fields& object, const char* key, const std::string& where);
bool flag_field(const Fields& object, const char* key, const std::string& where);
bool flag_field(const Fields& object, const char* key, bool absent, const std::string& where);
std::int64_t count_field(const Fields& object, const char* key, const std::string& where);
/// The entries of a Sequence under `key`. UserError when `depth` is more than kMaxComponentDepth.
const std::vector<Fields>& list_field(const Fields& object, const char* key, int depth, const std::string& where);
[[noreturn]] void refuse_type(const std::string& type, const char* supported, const std::string& where);

}  // namespace allreco::data
