// Prompt templates: three parts (instruction, input, output) as a JSON file. The shipped ones (configs/templates) are
// compiled in, others are loaded by path. Grammar: docs/prepare.md.
#pragma once
#include <filesystem>
#include <span>
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

/// "below 10", "10 to 25", ... for "12.99"; empty for what is no price.
std::string price_band(std::string_view price);
/// A, B, ... or 1, 2, ... REQUIRES at most 26 options with letters.
std::string label_of(const PromptTemplate& prompt_template, size_t index);

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

/// Instruction and input for a history (oldest first) and options (as shown; may be empty). Output stays empty.
/// REQUIRES takes_history(), a phrasing below num_phrasings(), and at most 26 options with letters.
PromptRow render_history(const PromptTemplate& prompt_template, std::span<const ItemText> history,
                         std::span<const ItemText> options, size_t phrasing = 0);
/// The same of titles alone.
PromptRow render_history(const PromptTemplate& prompt_template, std::span<const std::string_view> history,
                         std::span<const std::string_view> options);
/// The prompt, cut at the template's own control tokens.
std::vector<PromptPart> render_prompt_parts(const PromptTemplate& prompt_template, const PromptRow& row);
/// What stands before the first {part} of that prompt, or with the instruction before the {input} of a row that has
/// one; and what stands behind the last {part}.
std::vector<PromptPart> prompt_head(const PromptTemplate& prompt_template, const PromptRow& row, bool with_instruction);
std::vector<PromptPart> prompt_tail(const PromptTemplate& prompt_template, bool has_input);
/// The text before the answer, control tokens as they are written.
std::string render_prompt(const PromptTemplate& prompt_template, const PromptRow& row);
/// The answer's text.
std::string render_output(const PromptTemplate& prompt_template, std::string_view output);

}  // namespace allreco::data
