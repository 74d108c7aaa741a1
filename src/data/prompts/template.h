// Prompt templates: three parts (instruction, input, output) as a JSON file. The shipped ones (configs/templates) are
// compiled in, others are loaded by path. Grammar: docs/prepare.md.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace allreco::data {

/// {name} stands for a part; which names a field may use is said beside it. Other braces are text. Filling in is one
/// pass: a brace in a title is text too.
struct PromptTemplate {
  std::string name;
  std::string description;
  // From a history to a row; both empty where the template is for ready prompts only.
  std::string instruction;                      // {history}, {options}
  std::vector<std::string> other_instructions;  // further phrasings of it: a JSON list holds all
  std::string input;                            // {history}, {options}
  std::string history_item = "{title}";         // {title}, {brand}, {category}, {price_band}
  std::string history_separator = ", ";
  std::string option_item = "{label}) {title}";  // {label} and the same
  std::string option_separator = ", ";
  std::string option_labels = "letters";  // letters (A, B, ... Z) | numbers (1, 2, ...)
  std::string missing = "unknown";        // in place of a brand, category or price band that an item has not
  std::string answer = "title";           // title | label: what {output} is
  // From a row to text.
  std::string prompt;                // {instruction}, {input}
  std::string prompt_without_input;  // {instruction}: for rows whose input is empty
  std::string output;                // {output}
  // Of chat models: texts that are control tokens where they stand in prompt and prompt_without_input, never in what is
  // filled in. The tokenizer must have them all as control tokens, also those that no text holds.
  std::vector<std::string> control_tokens;
  std::string answer_end;  // the control token after the answer, in place of EOS; empty: EOS

  bool takes_history() const;
  bool shows_options() const;
  /// Whether items are shown with more than their titles.
  bool shows_details() const;
  size_t num_phrasings() const { return 1 + other_instructions.size(); }
};

/// What a prompt may say of an item; what is empty is not known.
struct ItemText {
  std::string_view title, brand, category;
  std::string_view price;  // "12.99"
};

/// A stretch of a prompt: text, or one control token.
struct PromptPart {
  std::string text;
  bool is_control = false;
};

/// The parts of one example as text.
struct PromptRow {
  std::string instruction;
  std::string input;
  std::string output;
};

/// `name_or_path`: a shipped name, or a file (anything with a slash or ending in .json). UserError naming the shipped
/// ones when it is neither, and when a file has an unknown or missing field, or a field an unknown {part}.
PromptTemplate load_template(const std::string& name_or_path);
std::vector<std::string> shipped_template_names();
/// All fields, for dataset.json.
core::Json to_json(const PromptTemplate& prompt_template);
/// The template that such JSON describes, with load_template's errors, which name `source`.
PromptTemplate template_of(const core::Json& json, const std::string& source);

}  // namespace allreco::data
