// Options: what a config struct says of its fields, once: name, what they may hold, help; the default is the field's
// own. The command line's binding, the checks, --help and the config file all follow from it. A struct has a function
// `options()` that returns these descriptions of its own fields.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace allreco::core {

/// The finite numbers that an option may hold. Both ends belong to it unless they are open.
struct Range {
  double minimum = 0, maximum = 0;
  bool open_minimum = false, open_maximum = false;
  std::optional<double> special{};  // one more, with a meaning of its own
};
constexpr Range between(double minimum, double maximum) { return {minimum, maximum}; }
constexpr Range above_to(double minimum, double maximum) { return {minimum, maximum, true, false}; }
constexpr Range from_below(double minimum, double maximum) { return {minimum, maximum, false, true}; }
constexpr Range special_or(double special, Range range) {
  range.special = special;
  return range;
}

using Choices = std::vector<std::string>;

/// key -> number, in the order given: k_proj=4,v_proj=8 as text.
template <class Number>
using KeyedNumbers = std::vector<std::pair<std::string, Number>>;

/// One field's description. It points into the config struct and must not outlive it. A number has a range.
class Option {
 public:
  Option(std::string name, bool& field, std::string help);
  Option(std::string name, std::int64_t& field, const Range& range, std::string help);
  Option(std::string name, std::uint64_t& field, std::string help);  // a seed: any number that it can hold
  Option(std::string name, double& field, const Range& range, std::string help);
  Option(std::string name, std::string& field, std::string help);
  Option(std::string name, std::string& field, Choices choices, std::string help);
  /// Lists, comma-separated as text.
  Option(std::string name, std::vector<std::string>& field, std::string help);
  Option(std::string name, std::vector<std::int64_t>& field, const Range& range, std::string help);
  Option(std::string name, KeyedNumbers<std::int64_t>& field, const Range& range, std::string help);
  Option(std::string name, KeyedNumbers<double>& field, const Range& range, std::string help);

  const std::string& name() const { return name_; }
  const std::string& help() const { return help_; }
  /// "1 to 10", "a | b", ...; empty: anything.
  std::string allowed_text() const;

  /// Sets the field. UserError naming option, value and what is allowed; the field is then as before.
  void set(const std::string& text) const;
  /// The field as text that set() takes.
  std::string text() const;
  /// UserError unless the field holds what is allowed.
  void check() const;
  /// Calls visit with a reference to the field.
  template <class Visit>
  void visit_field(const Visit& visit) const {
    std::visit([&](auto* field) { visit(*field); }, field_);
  }

 private:
  using Field = std::variant<bool*, std::int64_t*, std::uint64_t*, double*, std::string*, std::vector<std::string>*,
                             std::vector<std::int64_t>*, KeyedNumbers<std::int64_t>*, KeyedNumbers<double>*>;
  std::string name_;
  Field field_;
  Range range_;      // of numbers
  Choices choices_;  // of texts; empty: anything
  std::string help_;
};

/// Options that --help shows under one heading.
struct OptionGroup {
  std::string title;
  std::vector<Option> options;
};
using OptionGroups = std::vector<OptionGroup>;

void check_options(const OptionGroups& groups);
/// UserError unless all fields of `config` hold what its options() allow.
template <class Config>
void check_options(const Config& config) {
  Config copy = config;  // descriptions point to fields that may change
  check_options(copy.options());
}

/// The parts between commas, without blanks around them; empty ones are left out.
std::vector<std::string> split_list(const std::string& text);

}  // namespace allreco::core
