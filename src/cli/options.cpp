#include "cli/options.h"

#include <algorithm>
#include <boost/program_options.hpp>
#include <charconv>
#include <fstream>
#include <numeric>
#include <sstream>

#include "core/check.h"
#include "core/files.h"

namespace allreco::cli {
namespace po = boost::program_options;
using core::user_error;

namespace {

constexpr std::uint64_t kLargestConfigFile = 1 << 20;

size_t edit_distance(const std::string& a, const std::string& b) {  // Levenshtein
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row.back();
}

template <class T>
T parse_number(const std::string& name, const std::string& value, const char* kind) {
  T number{};
  const char* end = value.data() + value.size();
  const auto [stopped, error] = std::from_chars(value.data(), end, number);
  if (error != std::errc() || stopped != end) user_error("{} = {}: {} expected", name, value, kind);
  return number;
}

void check_range(const std::string& name, const std::string& value, double number, const Allowed& allowed) {
  if (!(number >= allowed.minimum && number <= allowed.maximum)) {
    if (allowed.maximum > 1e299) user_error("{} = {}: must be at least {}", name, value, allowed.minimum);
    user_error("{} = {}: must be between {} and {}", name, value, allowed.minimum, allowed.maximum);
  }
}

std::string join(const std::vector<std::string>& parts, const char* separator) {
  std::string text;
  for (const auto& part : parts) text += (text.empty() ? "" : separator) + part;
  return text;
}

std::string range_text(const Allowed& allowed) {
  if (!allowed.choices.empty()) return join(allowed.choices, " | ");
  if (allowed.minimum < -1e299) return "";
  if (allowed.maximum > 1e299) return fmt::format(">= {}", allowed.minimum);
  return fmt::format("{} to {}", allowed.minimum, allowed.maximum);
}

}  // namespace

std::vector<std::string> split_list(const std::string& value) {
  std::vector<std::string> parts;
  std::stringstream stream(value);
  for (std::string part; std::getline(stream, part, ',');) {
    const auto first = part.find_first_not_of(" \t"), last = part.find_last_not_of(" \t");
    if (first != std::string::npos) parts.push_back(part.substr(first, last - first + 1));
  }
  return parts;
}

OptionList::OptionList(std::string usage, std::string description)
    : usage_(std::move(usage)), description_(std::move(description)) {
  add("config", config_, "A file of `key = value` lines; options on the command line win over it.");
}

void OptionList::add_option(Option option) {
  core::require(find(option.name) == nullptr, "an option is bound twice");
  option.default_text = option.get();
  options_.push_back(std::move(option));
}

void OptionList::add(const std::string& name, std::string& field, const std::string& help, const Allowed& allowed) {
  add_option({name, help, range_text(allowed),
              [name, &field, allowed](const std::string& value) {
                const auto& choices = allowed.choices;
                if (!choices.empty() && std::find(choices.begin(), choices.end(), value) == choices.end())
                  user_error("{} = {}: must be one of {}", name, value, join(choices, ", "));
                field = value;
              },
              [&field] { return field; }, "", false});
}

void OptionList::add(const std::string& name, std::int64_t& field, const std::string& help, const Allowed& allowed) {
  add_option({name, help, range_text(allowed),
              [name, &field, allowed](const std::string& value) {
                const auto number = parse_number<std::int64_t>(name, value, "a whole number");
                check_range(name, value, static_cast<double>(number), allowed);
                field = number;
              },
              [&field] { return std::to_string(field); }, "", false});
}

void OptionList::add(const std::string& name, std::uint64_t& field, const std::string& help) {
  add_option({name, help, ">= 0",
              [name, &field](const std::string& value) {
                field = parse_number<std::uint64_t>(name, value, "a whole number >= 0");
              },
              [&field] { return std::to_string(field); }, "", false});
}

void OptionList::add(const std::string& name, double& field, const std::string& help, const Allowed& allowed) {
  add_option({name, help, range_text(allowed),
              [name, &field, allowed](const std::string& value) {
                const auto number = parse_number<double>(name, value, "a number");
                check_range(name, value, number, allowed);
                field = number;
              },
              [&field] { return fmt::format("{}", field); }, "", false});
}

void OptionList::add(const std::string& name, bool& field, const std::string& help) {
  add_option({name, help, "true | false",
              [name, &field](const std::string& value) {
                if (value != "true" && value != "false") user_error("{} = {}: must be true or false", name, value);
                field = value == "true";
              },
              [&field] { return std::string(field ? "true" : "false"); }, "", false});
}

void OptionList::add(const std::string& name, std::vector<std::string>& field, const std::string& help) {
  add_option({name, help, "comma-separated", [&field](const std::string& value) { field = split_list(value); },
              [&field] { return join(field, ","); }, "", false});
}

void OptionList::add(const std::string& name, const TextForm& form, const std::string& help) {
  add_option({name, help, form.allowed, form.set, form.get, "", false});
}

OptionList::Option* OptionList::find(const std::string& name) {
  const auto found = std::find_if(options_.begin(), options_.end(), [&](const Option& o) { return o.name == name; });
  return found == options_.end() ? nullptr : &*found;
}

void OptionList::unknown(const std::string& name, const std::string& where) const {
  const auto nearest = std::min_element(options_.begin(), options_.end(), [&](const Option& a, const Option& b) {
    return edit_distance(a.name, name) < edit_distance(b.name, name);
  });
  user_error("unknown option {} {}; the nearest known one is {}. `{} --help` lists all", name, where, nearest->name,
             usage_);
}

void OptionList::apply(const std::string& name, const std::string& value, const std::string& where) {
  Option* option = find(name);
  if (option == nullptr) unknown(name, where);
  try {
    option->set(value);
  } catch (const core::UserError& e) {
    user_error("{} ({})", e.what(), where);
  }
  option->given = true;
}

bool OptionList::parse(const std::vector<std::string>& arguments) {
  po::options_description known;
  auto add = known.add_options();
  add("help", "");
  for (const Option& option : options_) add(option.name.c_str(), po::value<std::string>(), "");

  std::vector<std::pair<std::string, std::string>> from_command_line;
  try {
    namespace style = po::command_line_style;
    const auto parsed = po::command_line_parser(arguments)
                            .options(known)
                            .style(style::allow_long | style::long_allow_adjacent | style::long_allow_next)
                            .allow_unregistered()
                            .run();
    for (const auto& item : parsed.options) {
      if (item.string_key.empty() || item.position_key >= 0)
        user_error("unexpected argument {}; options are written --key value", item.original_tokens.front());
      if (item.string_key == "help") return false;
      if (item.unregistered) unknown(item.string_key, "on the command line");
      for (const auto& [name, value] : from_command_line) {
        if (name == item.string_key) user_error("--{} is given twice on the command line", name);
      }
      from_command_line.emplace_back(item.string_key, item.value.empty() ? "" : item.value.front());
      if (item.string_key == "config") config_ = from_command_line.back().second;
    }
  } catch (const po::error& e) {
    user_error("cannot read the options: {}. They are written --key value", e.what());
  }

  if (!config_.empty()) {
    std::istringstream file(core::read_file(config_, kLargestConfigFile));
    try {
      const auto parsed = po::parse_config_file(file, known, /*allow_unregistered=*/true);
      for (const auto& item : parsed.options)
        apply(item.string_key, item.value.empty() ? "" : item.value.front(), "in " + config_);
    } catch (const po::error& e) {
      user_error("{}: {}. Lines are `key = value`, comments begin with #", config_, e.what());
    }
  }
  for (const auto& [name, value] : from_command_line) apply(name, value, "on the command line");
  return true;
}

bool OptionList::given(const std::string& name) const {
  return std::any_of(options_.begin(), options_.end(), [&](const Option& o) { return o.name == name && o.given; });
}

std::string OptionList::help() const {
  std::string text = fmt::format("{} [--config FILE] [--key value ...]\n\n{}\n\nOptions:\n", usage_, description_);
  for (const Option& o : options_) {
    text += fmt::format("  --{}", o.name);
    if (!o.allowed_text.empty()) text += fmt::format("  ({})", o.allowed_text);
    text += fmt::format("\n      {}{}\n", o.help,
                        o.default_text.empty() ? "" : fmt::format(" Default: {}.", o.default_text));
  }
  return text;
}

std::string OptionList::as_config() const {
  std::string text;
  for (const Option& o : options_) {
    const std::string value = o.get();
    if (o.name != "config" && !value.empty()) text += fmt::format("{} = {}\n", o.name, value);
  }
  return text;
}

}  // namespace allreco::cli
