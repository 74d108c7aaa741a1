#include "cli/options.h"

#include <algorithm>
#include <boost/program_options.hpp>
#include <numeric>
#include <type_traits>

#include "cli/config_file.h"
#include "core/check.h"
#include "core/edit_distance.h"
#include "core/files.h"

namespace allreco::cli {
namespace po = boost::program_options;
using core::Option;
using core::OptionGroup;
using core::user_error;

namespace {

constexpr std::uint64_t kLargestConfigFile = 1 << 20;

/// Calls visit with each option and its number.
template <class Visit>
void for_each(const core::OptionGroups& groups, const Visit& visit) {
  size_t i = 0;
  for (const OptionGroup& group : groups)
    for (const Option& option : group.options) visit(option, i++);
}

bool is_flag(const Option& option) {
  bool is_bool = false;
  option.visit_field([&]<class Field>(const Field&) { is_bool = std::is_same_v<Field, bool>; });
  return is_bool;
}

std::string help_of(const Option& option, const std::string& default_text) {
  const std::string allowed = option.allowed_text();
  return fmt::format("  --{}{}\n      {}{}\n", option.name(), allowed.empty() ? "" : "  (" + allowed + ")",
                     option.help(), default_text.empty() ? "" : " Default: " + default_text + ".");
}

}  // namespace

OptionList::OptionList(std::string usage, std::string description, const std::vector<core::OptionGroups>& options)
    : usage_(std::move(usage)),
      description_(std::move(description)),
      config_option_("config", config_, "A file of `key = value` lines; options on the command line win over it.") {
  for (const core::OptionGroups& groups : options) {
    for (const OptionGroup& group : groups) {
      for (const Option& option : group.options)
        core::require(find(option.name()) == nullptr, "an option is described twice");
      groups_.push_back(group);
    }
  }
  for_each(groups_, [&](const Option& option, size_t) { defaults_.push_back(option.text()); });
}

const Option* OptionList::find(const std::string& name) const {
  const Option* found = nullptr;
  for_each(groups_, [&](const Option& option, size_t) {
    if (option.name() == name) found = &option;
  });
  return found;
}

void OptionList::unknown(const std::string& name, const std::string& where) const {
  const Option* nearest = &config_option_;
  for_each(groups_, [&](const Option& option, size_t) {
    if (core::edit_distance(option.name(), name) < core::edit_distance(nearest->name(), name)) nearest = &option;
  });
  user_error("unknown option {} {}; the nearest known one is {}. `{} --help` lists all", name, where, nearest->name(),
             usage_);
}

void OptionList::apply(const std::string& name, const std::string& value, const std::string& where) const {
  const Option* option = find(name);
  if (option == nullptr) unknown(name, where);
  try {
    option->set(value);
  } catch (const core::UserError& e) {
    user_error("{} ({})", e.what(), where);
  }
}

std::vector<std::string> OptionList::with_values_of_flags(const std::vector<std::string>& arguments) const {
  const auto option_at = [&](size_t i) -> const Option* {
    const bool is_name = i < arguments.size() && arguments[i].starts_with("--");
    return is_name ? find(arguments[i].substr(2)) : nullptr;
  };
  std::vector<std::string> all;
  for (size_t i = 0; i < arguments.size(); ++i) {
    all.push_back(arguments[i]);
    const Option* option = option_at(i);
    if (option == nullptr) continue;
    const bool has_value = i + 1 < arguments.size() && option_at(i + 1) == nullptr;
    if (is_flag(*option) && (!has_value || arguments[i + 1].starts_with("--"))) {
      all.emplace_back("true");
    } else if (has_value) {
      all.push_back(arguments[++i]);
    } else if (i + 1 < arguments.size()) {
      user_error("--{} has no value: {} follows it", option->name(), arguments[i + 1]);
    }
  }
  return all;
}

OptionList::Arguments OptionList::read_command_line(const std::vector<std::string>& arguments,
                                                    bool& asks_for_help) const {
  po::options_description known;
  auto add = known.add_options();
  add("help", "");
  add("config", po::value<std::string>(), "");
  for_each(groups_, [&](const Option& option, size_t) { add(option.name().c_str(), po::value<std::string>(), ""); });
  namespace style = po::command_line_style;
  const auto parsed = po::command_line_parser(with_values_of_flags(arguments))
                          .options(known)
                          .style(style::allow_long | style::long_allow_adjacent | style::long_allow_next)
                          .allow_unregistered()
                          .run();
  Arguments read;
  for (const auto& item : parsed.options) {
    if (item.string_key.empty() || item.position_key >= 0)
      user_error("unexpected argument {}; options are written --key value", item.original_tokens.front());
    if (item.string_key == "help") {
      asks_for_help = true;
      continue;
    }
    if (item.unregistered) unknown(item.string_key, "on the command line");
    for (const auto& [name, value] : read) {
      if (name == item.string_key) user_error("--{} is given twice on the command line", name);
    }
    read.emplace_back(item.string_key, item.value.empty() ? "" : item.value.front());
  }
  return read;
}

void OptionList::read_config_file() {
  for (const ConfigEntry& entry : parse_config(core::read_file(config_, kLargestConfigFile), config_))
    apply(entry.key, entry.value, fmt::format("in {}, line {}", config_, entry.line));
}

bool OptionList::parse(const std::vector<std::string>& arguments) {
  Arguments read;
  bool asks_for_help = false;
  try {
    read = read_command_line(arguments, asks_for_help);
  } catch (const po::error& e) {
    user_error("cannot read the options: {}. They are written --key value", e.what());
  }
  if (asks_for_help) return false;
  for (const auto& [name, value] : read) {
    if (name != config_option_.name()) continue;
    if (value.empty()) user_error("--config is empty: give a file of `key = value` lines, or leave it out");
    config_option_.set(value);
    read_config_file();
  }
  for (const auto& [name, value] : read)
    if (name != config_option_.name()) apply(name, value, "on the command line");
  return true;
}

std::string OptionList::help() const {
  std::string text = fmt::format("{} [--config FILE] [--key value ...]\n\n{}\n\n{}", usage_, description_,
                                 help_of(config_option_, ""));
  auto default_text = defaults_.begin();
  for (const OptionGroup& group : groups_) {
    text += fmt::format("\n{}:\n", group.title);
    for (const Option& option : group.options) text += help_of(option, *default_text++);
  }
  return text;
}

std::string OptionList::as_config() const {
  std::string text;
  for_each(groups_, [&](const Option& option, size_t i) {
    const std::string value = option.text();
    if (!value.empty() || !defaults_[i].empty()) text += config_line(option.name(), value);
  });
  return text;
}

}  // namespace allreco::cli
