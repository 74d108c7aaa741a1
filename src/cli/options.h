// Options: one list binds a field, its name, what it may be and what it means; `key = value` files and `--key value`
// fill it. boost/program_options stays inside options.cpp.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace allreco::cli {

/// What a value must satisfy beyond its type. Shown in help and in error messages.
struct Allowed {
  std::vector<std::string> choices;  // for strings; empty: anything
  double minimum = -1e300;           // for numbers
  double maximum = 1e300;
};
inline Allowed one_of(std::vector<std::string> choices) { return {std::move(choices)}; }
inline Allowed at_least(double minimum) { return {{}, minimum, 1e300}; }
inline Allowed between(double minimum, double maximum) { return {{}, minimum, maximum}; }

/// A field of another type: how text becomes its value and the other way round.
struct TextForm {
  std::string allowed;                                // shown in help
  std::function<void(const std::string& value)> set;  // throws UserError
  std::function<std::string()> get;
};

/// The parts between commas, without blanks around them; empty ones are left out.
std::vector<std::string> split_list(const std::string& value);

class OptionList {
 public:
  /// `usage`: the command as shown in help, e.g. "allreco train".
  OptionList(std::string usage, std::string description);

  /// Binds `field`; its present value is the default. Names use underscores. Help is one or two plain sentences.
  void add(const std::string& name, std::string& field, const std::string& help, const Allowed& allowed = {});
  void add(const std::string& name, std::int64_t& field, const std::string& help, const Allowed& allowed = {});
  void add(const std::string& name, std::uint64_t& field, const std::string& help);
  void add(const std::string& name, double& field, const std::string& help, const Allowed& allowed = {});
  void add(const std::string& name, bool& field, const std::string& help);
  /// A comma-separated list.
  void add(const std::string& name, std::vector<std::string>& field, const std::string& help);

  void add(const std::string& name, const TextForm& form, const std::string& help);

  /// Fills the fields from `--config FILE` (key = value lines) and then from `--key value`, which wins. UserError for
  /// an unknown key (naming the nearest known one), a missing or bad value (naming key, value and what is allowed), a
  /// key given twice. Returns false when --help was asked for.
  bool parse(const std::vector<std::string>& arguments);

  /// True when the user gave the option, in a file or on the command line.
  bool given(const std::string& name) const;
  std::string help() const;
  /// Every option with its resolved value as `key = value` lines: a file that --config reads.
  std::string as_config() const;

 private:
  struct Option {
    std::string name, help, allowed_text;
    std::function<void(const std::string& value)> set;  // throws UserError
    std::function<std::string()> get;
    std::string default_text;
    bool given = false;
  };
  void add_option(Option option);
  Option* find(const std::string& name);
  void apply(const std::string& name, const std::string& value, const std::string& where);
  [[noreturn]] void unknown(const std::string& name, const std::string& where) const;

  std::string usage_, description_;
  std::string config_;
  std::vector<Option> options_;
};

}  // namespace allreco::cli
