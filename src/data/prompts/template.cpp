#include "data/prompts/template.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <iterator>
#include <map>

#include "core/check.h"
#include "core/files.h"
#include "data/prompts/builtin_templates.h"

namespace allreco::data {
namespace fs = std::filesystem;
using core::Json;

namespace {

constexpr size_t kNumLetters = 26;
// Fields stand in one another and are filled in for every row: a few of each part, or a small file would ask for any
// amount of memory.
constexpr std::uint64_t kLargestFile = 1 << 20;
constexpr int kMostOfAPart = 4;
constexpr size_t kMostControlTokens = 1024;

struct Field {
  const char* key;
  std::string PromptTemplate::*member;
  bool is_required;
  std::vector<std::string_view> parts;  // that may stand in it
};

const std::vector<Field>& fields() {
  static const std::vector<Field> list = {
      {"name", &PromptTemplate::name, true, {}},
      {"description", &PromptTemplate::description, false, {}},
      {"input", &PromptTemplate::input, false, {"history", "options"}},
      {"history_item", &PromptTemplate::history_item, false, {"title", "brand", "category", "price_band"}},
      {"history_separator", &PromptTemplate::history_separator, false, {}},
      {"option_item", &PromptTemplate::option_item, false, {"label", "title", "brand", "category", "price_band"}},
      {"option_separator", &PromptTemplate::option_separator, false, {}},
      {"option_labels", &PromptTemplate::option_labels, false, {}},
      {"missing", &PromptTemplate::missing, false, {}},
      {"answer", &PromptTemplate::answer, false, {}},
      {"prompt", &PromptTemplate::prompt, true, {"instruction", "input"}},
      {"prompt_without_input", &PromptTemplate::prompt_without_input, true, {"instruction"}},
      {"output", &PromptTemplate::output, true, {"output"}},
      {"answer_end", &PromptTemplate::answer_end, false, {}},
  };
  return list;
}

constexpr size_t kMostPhrasings = 64;
const Field& instruction_field() {
  static const Field field = {"instruction", &PromptTemplate::instruction, false, {"history", "options"}};
  return field;
}

/// The part named at text[at] == '{', or "" where no {lower_case_name} stands.
std::string_view part_at(std::string_view text, size_t at) {
  const size_t end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", at + 1);
  const bool is_part = end != std::string_view::npos && text[end] == '}' && end > at + 1;
  return is_part ? text.substr(at + 1, end - at - 1) : std::string_view();
}

/// Copies `text` with every part replaced by value_of(part), in one pass.
std::string fill_in(std::string_view text, const std::function<std::string_view(std::string_view)>& value_of) {
  std::string filled;
  for (size_t i = 0; i < text.size(); ++i) {
    const std::string_view part = text[i] == '{' ? part_at(text, i) : std::string_view();
    if (part.empty()) {
      filled += text[i];
    } else {
      filled += value_of(part);
      i += part.size() + 1;
    }
  }
  return filled;
}

/// The longest of `tokens` that stands at text[at]; empty: none.
std::string_view control_token_at(std::string_view text, size_t at, const std::vector<std::string>& tokens) {
  std::string_view longest;
  for (const std::string& token : tokens) {
    if (token.size() > longest.size() && text.substr(at).starts_with(token)) longest = token;
  }
  return longest;
}

/// fill_in, cut at control tokens of `text` itself.
std::vector<PromptPart> fill_in_parts(std::string_view text, const std::vector<std::string>& control_tokens,
                                      const std::function<std::string_view(std::string_view)>& value_of) {
  std::vector<PromptPart> parts;
  const auto append = [&](std::string_view more) {
    if (parts.empty() || parts.back().is_control) parts.push_back({});
    parts.back().text += more;
  };
  for (size_t i = 0; i < text.size();) {
    const std::string_view part = text[i] == '{' ? part_at(text, i) : std::string_view();
    const std::string_view control = control_token_at(text, i, control_tokens);
    if (!control.empty()) {
      parts.push_back({std::string(control), true});
      i += control.size();
    } else if (!part.empty()) {
      append(value_of(part));
      i += part.size() + 2;
    } else {
      append(text.substr(i++, 1));
    }
  }
  std::erase_if(parts, [](const PromptPart& p) { return p.text.empty(); });
  return parts;
}

std::string_view prompt_text(const PromptTemplate& t, bool has_input) {
  return has_input ? t.prompt : t.prompt_without_input;
}

bool has_part(std::string_view text, std::string_view part) {
  return text.find(fmt::format("{{{}}}", part)) != std::string_view::npos;
}

void check_parts(const Field& field, const std::string& text, const std::string& source) {
  std::map<std::string_view, int> counts;
  fill_in(text, [&](std::string_view part) {
    if (std::find(field.parts.begin(), field.parts.end(), part) == field.parts.end() && !field.parts.empty()) {
      std::string allowed;
      for (std::string_view name : field.parts) allowed += fmt::format(" {{{}}}", name);
      core::user_error("template {}: \"{}\" holds the unknown part {{{}}}; it may hold{}", source, field.key, part,
                       allowed);
    }
    if (++counts[part] > kMostOfAPart && !field.parts.empty()) {
      core::user_error("template {}: \"{}\" holds the part {{{}}} more than {} times", source, field.key, part,
                       kMostOfAPart);
    }
    return std::string_view();
  });
}

void check_needs(const PromptTemplate& t, const std::string& source) {
  const auto need = [&](bool holds, const char* what) {
    if (!holds) core::user_error("template {}: {}", source, what);
  };
  for (const std::string& phrasing : t.other_instructions)
    for (const char* part : {"history", "options"})
      need(has_part(phrasing, part) == has_part(t.instruction, part),
           "each phrasing of \"instruction\" must hold the parts that the first one holds");
  need(t.answer == "title" || t.answer == "label", "\"answer\" must be title or label");
  need(t.answer == "title" || (t.shows_options() && has_part(t.option_item, "label")),
       "\"answer\" can be label only where {options} are shown, each with its {label}");
  need(has_part(t.prompt, "instruction") && has_part(t.prompt, "input"),
       "\"prompt\" must hold {instruction} and {input} (rows without input use \"prompt_without_input\")");
  need(has_part(t.prompt_without_input, "instruction"), "\"prompt_without_input\" must hold {instruction}");
  need(has_part(t.output, "output"), "\"output\" must hold {output}");
  need(has_part(t.history_item, "title"), "\"history_item\" must hold {title}");
  need(has_part(t.option_item, "title"), "\"option_item\" must hold {title}");
  need(t.option_labels == "letters" || t.option_labels == "numbers", "\"option_labels\" must be letters or numbers");
  need(t.takes_history() || (t.instruction.empty() && t.input.empty()),
       "\"instruction\" or \"input\" must hold {history}; leave both out in a template for ready prompts");
}

void read_control_tokens(const Json& json, const std::string& source, PromptTemplate& result) {
  const auto found = json.find("control_tokens");
  if (found == json.end()) return;
  const bool is_list = found->is_array() && std::all_of(found->begin(), found->end(), [](const Json& token) {
                         return token.is_string() && !token.get_ref<const std::string&>().empty();
                       });
  if (!is_list || found->size() > kMostControlTokens) {
    core::user_error("template {}: \"control_tokens\" must be a list of texts, at most {}", source, kMostControlTokens);
  }
  result.control_tokens = found->get<std::vector<std::string>>();
}

/// A text, or a list of phrasings.
void read_instruction(const Json& json, const std::string& source, PromptTemplate& result) {
  const auto found = json.find("instruction");
  if (found == json.end()) return;
  const bool is_list = found->is_array() && !found->empty() && found->size() <= kMostPhrasings &&
                       std::all_of(found->begin(), found->end(), [](const Json& text) { return text.is_string(); });
  if (!found->is_string() && !is_list)
    core::user_error("template {}: \"instruction\" must be a text, or a list of 1 to {} texts", source, kMostPhrasings);
  std::vector<std::string> phrasings =
      is_list ? found->get<std::vector<std::string>>() : std::vector<std::string>{found->get<std::string>()};
  for (const std::string& phrasing : phrasings) check_parts(instruction_field(), phrasing, source);
  result.instruction = std::move(phrasings.front());
  result.other_instructions.assign(std::make_move_iterator(phrasings.begin() + 1),
                                   std::make_move_iterator(phrasings.end()));
}

std::string_view or_missing(const PromptTemplate& t, std::string_view text) { return text.empty() ? t.missing : text; }

/// An item with its details; `label` is empty in a history.
std::string render_item(const PromptTemplate& t, const std::string& format, const ItemText& item,
                        const std::string& label) {
  const std::string band = price_band(item.price);
  return fill_in(format, [&](std::string_view part) -> std::string_view {
    if (part == "label") return label;
    if (part == "title") return item.title;
    return or_missing(t, part == "brand" ? item.brand : part == "category" ? item.category : std::string_view(band));
  });
}

}  // namespace

bool PromptTemplate::takes_history() const { return has_part(instruction, "history") || has_part(input, "history"); }
bool PromptTemplate::shows_details() const {
  for (const char* part : {"brand", "category", "price_band"})
    if (has_part(history_item, part) || (shows_options() && has_part(option_item, part))) return true;
  return false;
}
bool PromptTemplate::shows_options() const { return has_part(instruction, "options") || has_part(input, "options"); }

std::string label_of(const PromptTemplate& t, size_t index) {
  if (t.option_labels == "numbers") return std::to_string(index + 1);
  core::require(index < kNumLetters, "more options than letters");
  return std::string(1, static_cast<char>('A' + index));
}

std::string price_band(std::string_view price) {
  constexpr std::array<int, 7> kBounds{10, 25, 50, 100, 250, 500, 1000};
  double value = 0;
  const auto [end, error] = std::from_chars(price.data(), price.data() + price.size(), value);
  if (error != std::errc{} || end != price.data() + price.size()) return "";
  const auto above = std::upper_bound(kBounds.begin(), kBounds.end(), value);
  if (above == kBounds.begin()) return fmt::format("below {}", kBounds.front());
  if (above == kBounds.end()) return fmt::format("{} or more", kBounds.back());
  return fmt::format("{} to {}", *(above - 1), *above);
}

std::vector<std::string> shipped_template_names() {
  std::vector<std::string> names;
  for (const BuiltinTemplate& entry : builtin_templates()) names.emplace_back(entry.name);
  std::sort(names.begin(), names.end());
  return names;
}

PromptTemplate template_of(const Json& json, const std::string& source) {
  if (!json.is_object()) core::user_error("template {}: a JSON object is needed", source);
  PromptTemplate result;
  for (const Field& field : fields()) {
    const auto found = json.find(field.key);
    if (found == json.end()) {
      if (field.is_required) core::user_error("template {}: the field \"{}\" is missing", source, field.key);
      continue;
    }
    if (!found->is_string()) core::user_error("template {}: \"{}\" must be a text", source, field.key);
    result.*field.member = found->get<std::string>();
    check_parts(field, result.*field.member, source);
  }
  read_instruction(json, source, result);
  read_control_tokens(json, source, result);
  for (const auto& entry : json.items()) {
    const bool known =
        entry.key() == "control_tokens" || entry.key() == "instruction" ||
        std::any_of(fields().begin(), fields().end(), [&](const Field& f) { return entry.key() == f.key; });
    if (!known) core::user_error("template {}: unknown field \"{}\"", source, entry.key());
  }
  check_needs(result, source);
  return result;
}

PromptTemplate load_template(const std::string& name_or_path) {
  if (name_or_path.find('/') != std::string::npos || name_or_path.ends_with(".json")) {
    return template_of(core::parse_json(core::read_file(name_or_path, kLargestFile), name_or_path), name_or_path);
  }
  std::string shipped;
  for (const BuiltinTemplate& entry : builtin_templates()) {
    if (entry.name == name_or_path) return template_of(Json::parse(entry.text), name_or_path);
    shipped += fmt::format(" {}", entry.name);
  }
  core::user_error("template = {}: not one of{}, and no path of a .json file", name_or_path, shipped);
}

Json to_json(const PromptTemplate& prompt_template) {
  Json json;
  for (const Field& field : fields()) json[field.key] = prompt_template.*field.member;
  json["instruction"] = prompt_template.instruction;
  if (!prompt_template.other_instructions.empty()) {
    json["instruction"] = Json::array({prompt_template.instruction});
    for (const std::string& phrasing : prompt_template.other_instructions) json["instruction"].push_back(phrasing);
  }
  json["control_tokens"] = prompt_template.control_tokens;
  return json;
}

PromptRow render_history(const PromptTemplate& t, std::span<const ItemText> history, std::span<const ItemText> options,
                         size_t phrasing) {
  core::require(phrasing < t.num_phrasings(), "a template has the phrasing that is asked for");
  std::string history_text;
  for (size_t i = 0; i < history.size(); ++i)
    history_text += (i > 0 ? t.history_separator : "") + render_item(t, t.history_item, history[i], "");
  std::string options_text;
  for (size_t i = 0; i < options.size(); ++i)
    options_text += (i > 0 ? t.option_separator : "") + render_item(t, t.option_item, options[i], label_of(t, i));
  const auto value_of = [&](std::string_view part) -> std::string_view {
    return part == "history" ? history_text : options_text;
  };
  return {fill_in(phrasing == 0 ? t.instruction : t.other_instructions[phrasing - 1], value_of),
          fill_in(t.input, value_of), ""};
}

PromptRow render_history(const PromptTemplate& t, std::span<const std::string_view> history,
                         std::span<const std::string_view> options) {
  const auto items = [](std::span<const std::string_view> titles) {
    std::vector<ItemText> texts;
    for (const std::string_view title : titles) texts.push_back({title, {}, {}, {}});
    return texts;
  };
  return render_history(t, items(history), items(options));
}

std::vector<PromptPart> render_prompt_parts(const PromptTemplate& t, const PromptRow& row) {
  return fill_in_parts(
      prompt_text(t, !row.input.empty()), t.control_tokens,
      [&](std::string_view part) -> std::string_view { return part == "input" ? row.input : row.instruction; });
}

std::vector<PromptPart> prompt_head(const PromptTemplate& t, const PromptRow& row, bool with_instruction) {
  const std::string_view text = prompt_text(t, !row.input.empty());
  const size_t end = text.find(with_instruction && !row.input.empty() ? "{input}" : "{in");
  return fill_in_parts(text.substr(0, end), t.control_tokens, [&](std::string_view part) -> std::string_view {
    return part == "input" ? row.input : row.instruction;
  });
}

std::vector<PromptPart> prompt_tail(const PromptTemplate& t, bool has_input) {
  const std::string_view text = prompt_text(t, has_input);
  const size_t last = text.rfind("{in");  // {instruction} or {input}: both are there where they must be
  return fill_in_parts(text.substr(text.find('}', last) + 1), t.control_tokens,
                       [](std::string_view part) { return part; });
}

std::string render_prompt(const PromptTemplate& t, const PromptRow& row) {
  return fill_in(row.input.empty() ? t.prompt_without_input : t.prompt, [&](std::string_view part) -> std::string_view {
    return part == "input" ? row.input : row.instruction;
  });
}

std::string render_output(const PromptTemplate& t, std::string_view output) {
  return fill_in(t.output, [&](std::string_view) { return output; });
}

}  // namespace allreco::data
