#include "data/prompts/template_choice.h"

#include <algorithm>

#include "core/check.h"

namespace allreco::data {

namespace {

bool fits(const PromptTemplate& chat, const Tokenizer& tokenizer) {
  return std::all_of(chat.control_tokens.begin(), chat.control_tokens.end(),
                     [&](const std::string& token) { return tokenizer.control_token(token).has_value(); });
}

PromptTemplate chat_template_of(const Tokenizer& tokenizer) {
  // A template whose tokens are among another's comes after it.
  for (const char* name : {"llama3", "gemma", "mistral-nemo", "mistral", "chatml"}) {
    PromptTemplate chat = load_template(name);
    if (fits(chat, tokenizer)) return chat;
  }
  core::user_error(
      "template = auto: the tokenizer {} has the control tokens of no chat template that is shipped; name the template "
      "(plain, alpaca, ...)",
      tokenizer.path().string());
}

PromptTemplate named_template(const PrepareConfig& config, const Tokenizer& tokenizer) {
  if (config.prompt_template == "auto") return chat_template_of(tokenizer);
  if (!config.prompt_template.empty()) return load_template(config.prompt_template);
  return load_template(config.reviews.empty() && config.sequences.empty() ? "alpaca" : "amazon-next-item");
}

}  // namespace

PromptTemplate choose_template(const PrepareConfig& config, const Tokenizer& tokenizer) {
  PromptTemplate chosen = named_template(config, tokenizer);
  if (!config.sequences.empty() && chosen.shows_details())
    core::user_error("template {}: items of --sequences have no brand, category or price to show", chosen.name);
  return chosen;
}

}  // namespace allreco::data
