// OptionList: the options of one command. The config structs describe them (core/options.h); `key = value` files and
// `--key value` fill them. boost/program_options stays inside options.cpp.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "core/options.h"

namespace allreco::cli {

class OptionList {
 public:
  /// `usage`: the command as shown in help, e.g. "allreco train". The descriptions point to fields that must outlive
  /// the list; their present values are the defaults.
  OptionList(std::string usage, std::string description, const std::vector<core::OptionGroups>& options);
  OptionList(const OptionList&) = delete;  // it points to its own config_
  OptionList& operator=(const OptionList&) = delete;

  /// Fills the fields from `--config FILE` (docs/formats.md) and then from `--key value`, which wins; a flag with
  /// nothing or another option behind it is true. UserError for an unknown key (naming the nearest known one), a
  /// missing or bad value (naming key, value and what is allowed), a key given twice. Returns false when --help was
  /// asked for.
  bool parse(const std::vector<std::string>& arguments);

  std::string help() const;
  /// Every option with its resolved value as `key = value` lines: a file that --config reads.
  std::string as_config() const;
  /// All but --config.
  const core::OptionGroups& groups() const { return groups_; }

 private:
  using Arguments = std::vector<std::pair<std::string, std::string>>;
  /// The arguments with `true` behind each flag that has no value. UserError where another option has none.
  std::vector<std::string> with_values_of_flags(const std::vector<std::string>& arguments) const;
  Arguments read_command_line(const std::vector<std::string>& arguments, bool& asks_for_help) const;
  void read_config_file();
  const core::Option* find(const std::string& name) const;
  void apply(const std::string& name, const std::string& value, const std::string& where) const;
  [[noreturn]] void unknown(const std::string& name, const std::string& where) const;

  std::string usage_, description_;
  std::string config_;
  core::Option config_option_;
  core::OptionGroups groups_;
  std::vector<std::string> defaults_;  // of groups_, in their order
};

}  // namespace allreco::cli
