#include "core/options.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>
#include <string_view>
#include <type_traits>

#include "core/check.h"

namespace allreco::core {

namespace {

/// How an option appears in messages: what is wrong, and what would be right.
struct Named {
  const std::string& name;
  const Range& range;
  const Choices& choices;
};

/// 1000000000 instead of 1e9, but 1e+39.
std::string bound_text(double bound) {
  return bound == std::floor(bound) && bound < 1e20 ? fmt::format("{:.0f}", bound) : fmt::format("{}", bound);
}

std::string range_text(const Range& range) {
  const std::string special = range.special ? bound_text(*range.special) + ", or " : "";
  const std::string minimum = bound_text(range.minimum), maximum = bound_text(range.maximum);
  if (range.open_minimum) return fmt::format("{}above {} and at most {}", special, minimum, maximum);
  if (range.open_maximum) return fmt::format("{}at least {} and below {}", special, minimum, maximum);
  return fmt::format("{}{} to {}", special, minimum, maximum);
}

bool contains(const Range& range, double number) {
  if (range.special == number) return true;
  return (range.open_minimum ? number > range.minimum : number >= range.minimum) &&
         (range.open_maximum ? number < range.maximum : number <= range.maximum);  // false for NaN
}

template <class Number>
constexpr const char* kind_of() {
  return std::is_floating_point_v<Number> ? "a number" : "a whole number";
}

template <class Number>
[[noreturn]] void refuse_number(const Named& option, const std::string& key, std::string_view found) {
  user_error("{}{}{} = {}: expected {}, {}", option.name, key.empty() ? "" : ": ", key, found.empty() ? "\"\"" : found,
             kind_of<Number>(), range_text(option.range));
}

template <class Number>
void check_number(const Named& option, const std::string& key, Number number) {
  // Bounds are far below 2^53, where doubles are exact; what is beyond rounds to something beyond.
  if (!contains(option.range, static_cast<double>(number)))
    refuse_number<Number>(option, key, fmt::format("{}", number));
}

template <class Number>
Number number_of(const Named& option, std::string_view text, const std::string& key = "") {
  Number number{};
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stopped != end) refuse_number<Number>(option, key, text);
  if constexpr (!std::is_same_v<Number, std::uint64_t>) {
    if (!contains(option.range, static_cast<double>(number)))
      refuse_number<Number>(option, key, text);  // as it was written
  }
  return number;
}

// ---- check_value: what a field holds ----

void check_value(const Named&, bool) {}
void check_value(const Named&, std::uint64_t) {}
void check_value(const Named&, const std::vector<std::string>&) {}
void check_value(const Named& option, std::int64_t value) { check_number(option, "", value); }
void check_value(const Named& option, double value) { check_number(option, "", value); }

void check_value(const Named& option, const std::string& value) {
  const Choices& choices = option.choices;
  if (choices.empty() || std::find(choices.begin(), choices.end(), value) != choices.end()) return;
  user_error("{} = {}: expected one of {}", option.name, value.empty() ? "\"\"" : value, fmt::join(choices, ", "));
}

void check_value(const Named& option, const std::vector<std::int64_t>& values) {
  for (const std::int64_t value : values) check_number(option, "", value);
}

template <class Number>
void check_value(const Named& option, const KeyedNumbers<Number>& values) {
  for (const auto& [key, number] : values) check_number(option, key, number);
}

// ---- parse: text into a value ----

void parse(const Named& option, const std::string& text, bool& value) {
  const auto is_one_of = [&](std::initializer_list<std::string_view> spellings) {
    return std::find(spellings.begin(), spellings.end(), text) != spellings.end();
  };
  value = is_one_of({"true", "True", "yes", "1"});
  if (!value && !is_one_of({"false", "False", "no", "0"}))
    user_error("{} = {}: expected true or false", option.name, text.empty() ? "\"\"" : text);
}

void parse(const Named& option, const std::string& text, std::int64_t& value) {
  value = number_of<std::int64_t>(option, text);
}
void parse(const Named& option, const std::string& text, std::uint64_t& value) {
  value = number_of<std::uint64_t>(option, text);
}
void parse(const Named& option, const std::string& text, double& value) { value = number_of<double>(option, text); }
void parse(const Named&, const std::string& text, std::string& value) { value = text; }
void parse(const Named&, const std::string& text, std::vector<std::string>& value) { value = split_list(text); }

void parse(const Named& option, const std::string& text, std::vector<std::int64_t>& value) {
  for (const std::string& part : split_list(text)) value.push_back(number_of<std::int64_t>(option, part));
}

/// A piece without = belongs to the key that goes on after the comma: q{1,2}=4.
template <class Number>
void parse(const Named& option, const std::string& text, KeyedNumbers<Number>& value) {
  std::string key;
  for (const std::string& piece : split_list(text)) {
    key += (key.empty() ? "" : ",") + piece;
    const size_t equals = piece.rfind('=');
    if (equals == std::string::npos) continue;
    key.resize(key.size() - (piece.size() - equals));
    value.emplace_back(key, number_of<Number>(option, std::string_view(piece).substr(equals + 1), key));
    key.clear();
  }
  if (!key.empty()) user_error("{} = {}: {} has no =value", option.name, text, key);
}

// ---- print: a value as text ----

std::string print(bool value) { return value ? "true" : "false"; }
std::string print(const std::string& value) { return value; }
template <class Number, std::enable_if_t<std::is_arithmetic_v<Number>, int> = 0>
std::string print(Number value) {
  return fmt::format("{}", value);
}
template <class Value>
std::string print(const std::vector<Value>& values) {
  return fmt::format("{}", fmt::join(values, ","));
}
template <class Number>
std::string print(const KeyedNumbers<Number>& values) {
  std::string text;
  for (const auto& [key, number] : values) text += fmt::format("{}{}={}", text.empty() ? "" : ",", key, number);
  return text;
}

// ---- describe: what may be written ----

std::string describe(const Named&, bool) { return "true | false"; }
std::string describe(const Named& option, std::int64_t) { return range_text(option.range); }
std::string describe(const Named& option, double) { return range_text(option.range); }
std::string describe(const Named& option, std::uint64_t) { return range_text(option.range); }
std::string describe(const Named& option, const std::string&) {
  return fmt::format("{}", fmt::join(option.choices, " | "));
}
std::string describe(const Named&, const std::vector<std::string>&) { return "comma-separated"; }
std::string describe(const Named& option, const std::vector<std::int64_t>&) {
  return "comma-separated, each " + range_text(option.range);
}
template <class Number>
std::string describe(const Named& option, const KeyedNumbers<Number>&) {
  return "key=value, comma-separated, each value " + range_text(option.range);
}

}  // namespace

Option::Option(std::string name, bool& field, std::string help)
    : name_(std::move(name)), field_(&field), help_(std::move(help)) {}
Option::Option(std::string name, std::int64_t& field, const Range& range, std::string help)
    : name_(std::move(name)), field_(&field), range_(range), help_(std::move(help)) {}
Option::Option(std::string name, std::uint64_t& field, std::string help)
    : name_(std::move(name)), field_(&field), range_(from_below(0, 0x1p64)), help_(std::move(help)) {}
Option::Option(std::string name, double& field, const Range& range, std::string help)
    : name_(std::move(name)), field_(&field), range_(range), help_(std::move(help)) {}
Option::Option(std::string name, std::string& field, std::string help)
    : name_(std::move(name)), field_(&field), help_(std::move(help)) {}
Option::Option(std::string name, std::string& field, Choices choices, std::string help)
    : name_(std::move(name)), field_(&field), choices_(std::move(choices)), help_(std::move(help)) {}
Option::Option(std::string name, std::vector<std::string>& field, std::string help)
    : name_(std::move(name)), field_(&field), help_(std::move(help)) {}
Option::Option(std::string name, std::vector<std::int64_t>& field, const Range& range, std::string help)
    : name_(std::move(name)), field_(&field), range_(range), help_(std::move(help)) {}
Option::Option(std::string name, KeyedNumbers<std::int64_t>& field, const Range& range, std::string help)
    : name_(std::move(name)), field_(&field), range_(range), help_(std::move(help)) {}
Option::Option(std::string name, KeyedNumbers<double>& field, const Range& range, std::string help)
    : name_(std::move(name)), field_(&field), range_(range), help_(std::move(help)) {}

std::string Option::allowed_text() const {
  const Named named{name_, range_, choices_};
  return std::visit([&](const auto* field) { return describe(named, *field); }, field_);
}

void Option::set(const std::string& text) const {
  const Named named{name_, range_, choices_};
  if (text.find('\0') != std::string::npos) user_error("{}: a value cannot hold a zero byte", name_);
  std::visit(
      [&](auto* field) {
        std::remove_pointer_t<decltype(field)> value{};
        parse(named, text, value);
        check_value(named, value);
        *field = std::move(value);
      },
      field_);
}

std::string Option::text() const {
  return std::visit([](const auto* field) { return print(*field); }, field_);
}

void Option::check() const {
  const Named named{name_, range_, choices_};
  std::visit([&](const auto* field) { check_value(named, *field); }, field_);
}

void check_options(const OptionGroups& groups) {
  for (const OptionGroup& group : groups)
    for (const Option& option : group.options) option.check();
}

std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) {
    const auto first = part.find_first_not_of(" \t"), last = part.find_last_not_of(" \t");
    if (first != std::string::npos) parts.push_back(part.substr(first, last - first + 1));
  }
  return parts;
}

}  // namespace allreco::core
