#include "data/prompts/template.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "core/check.h"
#include "core/files.h"
#include "data/prompts/builtin_templates.h"
#include "data/prompts/template_parts.h"

namespace allreco::data {
namespace fs = std::filesystem;
using core::Json;

namespace {

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

}  // namespace

bool PromptTemplate::takes_history() const { return has_part(instruction, "history") || has_part(input, "history"); }
bool PromptTemplate::shows_details() const {
  for (const char* part : {"brand", "category", "price_band"})
    if (has_part(history_item, part) || (shows_options() && has_part(option_item, part))) return true;
  return false;
}
bool PromptTemplate::shows_options() const { return has_part(instruction, "options") || has_part(input, "options"); }

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

}  // namespace allreco::data
