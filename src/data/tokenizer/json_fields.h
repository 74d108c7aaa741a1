// Reading the fields of a tokenizer.json: every error names the file, the component and the field.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace allreco::data {

/// Not core::Json: its look-up is linear, and a vocabulary has 262,144 entries.
using Fields = nlohmann::json;

/// Components (Sequence) may be nested this deep, and have so many steps.
inline constexpr int kMaxComponentDepth = 8;
inline constexpr size_t kMaxSteps = 64;

/// `where`: "PATH: pre_tokenizer". UserError unless the field is there and of that kind.
const Fields& field(const Fields& object, const char* key, const std::string& where);
std::string text_field(const Fields& object, const char* key, const std::string& where);
bool flag_field(const Fields& object, const char* key, const std::string& where);
bool flag_field(const Fields& object, const char* key, bool absent, const std::string& where);
std::int64_t count_field(const Fields& object, const char* key, const std::string& where);
/// The entries of a Sequence under `key`, at most kMaxSteps. UserError when `depth` is more than kMaxComponentDepth.
const std::vector<Fields>& list_field(const Fields& object, const char* key, int depth, const std::string& where);
/// To be asked where a component made a text of `before` bytes one of `after`: steps of a Sequence multiply one
/// another, so a few of them would ask for any amount of memory. UserError beyond 32 times as many, and some.
void check_growth(size_t before, size_t after, const std::string& where);
[[noreturn]] void refuse_type(const std::string& type, const char* supported, const std::string& where);

}  // namespace allreco::data
