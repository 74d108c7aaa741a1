// From a history to a row, and from a row to text, as a template says.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/prompts/template.h"

namespace allreco::data {

/// "below 10", "10 to 25", ... for "12.99"; empty for what is no price.
std::string price_band(std::string_view price);
/// A, B, ... or 1, 2, ... REQUIRES at most 26 options with letters.
std::string label_of(const PromptTemplate& prompt_template, size_t index);

/// Instruction and input for a history (oldest first) and options (as shown; both may be empty). Output stays empty.
/// Of an empty history nothing is left: a line of the template that is {history} alone goes with it.
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
