#include "data/input/prompt_rows.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "core/edit_distance.h"
#include "core/random.h"
#include "data/input/review_values.h"

namespace allreco::data {
using core::Json;

namespace {

constexpr size_t kMaxOptions = 254;  // the dataset format counts them in a byte, and 255 is taken

bool is_blank(const std::string& text) { return text.find_first_not_of(" \t\r\n") == std::string::npos; }

ParsedRow malformed(std::string problem) {
  ParsedRow row;
  row.fate = RowFate::malformed;
  row.problem = std::move(problem);
  return row;
}

/// "" or what is wrong. Null stands for an empty text.
std::string read_text(const Json& row, const char* key, bool is_required, std::string& text) {
  const auto found = row.find(key);
  if (found == row.end()) return is_required ? fmt::format("no {} in it", key) : "";
  if (found->is_null()) return "";
  if (!found->is_string()) return fmt::format("{} is no text", key);
  text = found->get<std::string>();
  return "";
}

std::string read_texts(const Json& row, PromptRow& text) {
  const bool has_parts = row.contains("instruction");
  if (has_parts && row.contains("prompt")) return "both prompt and instruction in it: one of them is the prompt";
  if (!has_parts && !row.contains("prompt")) return "neither prompt nor instruction in it";
  std::string problem = read_text(row, has_parts ? "instruction" : "prompt", true, text.instruction);
  if (problem.empty()) problem = read_text(row, "input", false, text.input);
  if (problem.empty()) problem = read_text(row, "output", true, text.output);
  return problem;
}

std::string read_options(const Json& row, std::vector<std::string>& options) {
  const auto found = row.find("options");
  if (found == row.end() || found->is_null()) return "";
  if (!found->is_array() || found->size() < 2 || found->size() > kMaxOptions) {
    return fmt::format("options must be a list of 2 to {} texts", kMaxOptions);
  }
  for (const Json& option : *found) {
    if (!option.is_string()) return "options must be a list of texts";
    options.push_back(option.get<std::string>());
  }
  return "";
}

/// The index that `gold` states, as a number or as the option's text; without it that of the output.
std::string read_gold(const Json& row, ParsedRow& parsed) {
  const auto stated = row.find("gold");
  const bool is_stated = stated != row.end() && !stated->is_null();
  if (parsed.options.empty()) return is_stated ? "gold without options" : "";
  const auto index_of = [&](const std::string& text) {
    return static_cast<size_t>(std::find(parsed.options.begin(), parsed.options.end(), text) - parsed.options.begin());
  };
  size_t index = 0;
  if (!is_stated) {
    index = index_of(parsed.text.output);
    if (index == parsed.options.size()) return "no option equals output, and no gold says which is right";
  } else if (stated->is_number_unsigned()) {
    index = stated->get<size_t>();
  } else if (stated->is_string()) {
    index = index_of(stated->get_ref<const std::string&>());
  } else {
    return "gold must be the right option's index or text";
  }
  if (index >= parsed.options.size()) return fmt::format("gold is {}, which is none of the options", stated->dump());
  if (parsed.options[index] != parsed.text.output) return "output differs from the option that gold names";
  parsed.gold = static_cast<std::uint8_t>(index);
  return "";
}

std::string read_user(const Json& row, std::optional<std::uint64_t>& user) {
  const auto found = row.find("user");
  if (found == row.end() || found->is_null()) return "";
  std::string name;
  if (found->is_string()) name = found->get<std::string>();
  if (const auto number = core::whole_number<std::int64_t>(*found)) name = std::to_string(*number);
  if (is_blank(name)) return "user is neither a text nor a whole number";
  user = core::key_of(name);
  return "";
}

std::string read_timestamp(const Json& row, std::optional<std::int64_t>& timestamp) {
  const auto found = row.find("timestamp");
  if (found == row.end() || found->is_null()) return "";
  LineField field;
  if (found->is_number()) field.kind = LineField::Kind::number, field.number = found->get<double>();
  std::int64_t time = 0;
  const bool is_ms = field.number >= kFirstMillisecond;
  std::string problem = is_ms ? milliseconds_of(field, "timestamp", time) : seconds_of(field, "timestamp", time);
  if (problem.empty()) timestamp = is_ms ? time / 1000 : time;
  return problem;
}

constexpr std::array<std::string_view, 9> kFields{"instruction", "input", "output", "prompt",   "options",
                                                  "gold",        "split", "user",   "timestamp"};

/// "" or which field of the row is likely meant to be one that it lacks: it would be left unread in silence.
std::string find_misspelt(const Json& row) {
  constexpr size_t kNear = 2;
  for (const std::string& name : unread_fields(row)) {
    std::string lower = name;
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    for (const std::string_view field : kFields)
      if (!row.contains(std::string(field)) && name.size() + kNear > field.size() &&
          name.size() < field.size() + kNear && core::edit_distance(lower, field) < kNear + (field.size() > 4 ? 1 : 0))
        return fmt::format("field {} is not read; is {} meant?", name, field);
  }
  return "";
}

bool repeats_one(std::vector<std::string> options) {
  std::sort(options.begin(), options.end());
  return std::adjacent_find(options.begin(), options.end()) != options.end();
}

RowFate fate_of(const ParsedRow& row) {
  if (is_blank(row.text.instruction) && is_blank(row.text.input)) return RowFate::empty_prompt;
  if (is_blank(row.text.output)) return RowFate::empty_output;
  if (std::any_of(row.options.begin(), row.options.end(), is_blank)) return RowFate::empty_option;
  return repeats_one(row.options) ? RowFate::duplicate_option : RowFate::usable;
}

}  // namespace

std::vector<std::string> unread_fields(const Json& row) {
  std::vector<std::string> names;
  for (const auto& [name, value] : row.items())
    if (std::find(kFields.begin(), kFields.end(), name) == kFields.end()) names.push_back(name);
  return names;
}

ParsedRow parse_prompt_row(const Json& row) {
  ParsedRow parsed;
  std::string problem = find_misspelt(row);
  if (problem.empty()) problem = read_texts(row, parsed.text);
  if (problem.empty()) problem = read_options(row, parsed.options);
  if (problem.empty()) problem = read_user(row, parsed.user);
  if (problem.empty()) problem = read_timestamp(row, parsed.timestamp);
  if (!problem.empty()) return malformed(std::move(problem));
  parsed.fate = fate_of(parsed);
  if (parsed.fate != RowFate::usable) return parsed;
  problem = read_gold(row, parsed);
  return problem.empty() ? parsed : malformed(std::move(problem));
}

bool choose_options(ParsedRow& row, std::vector<std::string> options) {
  const auto right = std::find(options.begin(), options.end(), row.text.output);
  if (options.size() < 2 || options.size() > kMaxOptions || right == options.end() || repeats_one(options) ||
      std::any_of(options.begin(), options.end(), is_blank))
    return false;
  row.gold = static_cast<std::uint8_t>(right - options.begin());
  row.options = std::move(options);
  return true;
}

}  // namespace allreco::data
