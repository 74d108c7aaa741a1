#include "data/prepare/example_encoder.h"

#include <algorithm>

#include "core/check.h"

namespace allreco::data {

ExampleEncoder::ExampleEncoder(const Tokenizer& tokenizer, const PromptTemplate& prompt_template,
                               const EncodeOptions& options)
    : tokenizer_(tokenizer), template_(prompt_template), options_(options) {
  if (options.add_bos && tokenizer.bos_id() < 0) {
    core::user_error("tokenizer {} has no BOS token: set add_bos = false", tokenizer.path().string());
  }
  if (options.add_eos && tokenizer.eos_id() < 0) {
    core::user_error("tokenizer {} has no EOS token: set add_eos = false", tokenizer.path().string());
  }
}

std::int64_t ExampleEncoder::room_for_prompt(const std::vector<TokenId>& answer) const {
  const std::int64_t ends = (options_.add_bos ? 1 : 0) + (options_.add_eos ? 1 : 0);
  return options_.max_length - ends - static_cast<std::int64_t>(answer.size());
}

void ExampleEncoder::assemble(std::span<const TokenId> prompt, const std::vector<TokenId>& answer,
                              Example& example) const {
  auto& tokens = example.tokens;
  tokens.clear();
  if (options_.add_bos) tokens.push_back(tokenizer_.bos_id());
  tokens.insert(tokens.end(), prompt.begin(), prompt.end());
  example.prompt_length = static_cast<std::int64_t>(tokens.size());
  tokens.insert(tokens.end(), answer.begin(), answer.end());
  if (options_.add_eos) tokens.push_back(tokenizer_.eos_id());
}

Fit ExampleEncoder::encode_history(std::span<const std::string_view> history, std::span<const std::string_view> options,
                                   std::string_view target, Example& example) const {
  const std::vector<TokenId> answer = encode_answer(target);
  const std::int64_t room = room_for_prompt(answer);
  for (size_t num_dropped = 0; num_dropped < history.size(); ++num_dropped) {
    const PromptRow row = render_history(template_, history.subspan(num_dropped), options);
    const std::vector<TokenId> prompt = tokenizer_.encode(render_prompt(template_, row));
    if (static_cast<std::int64_t>(prompt.size()) > room) continue;
    assemble(prompt, answer, example);
    return num_dropped == 0 ? Fit::whole : Fit::truncated;
  }
  return Fit::too_long;
}

bool ExampleEncoder::shows_all_options(std::string_view prompt, std::span<const std::string> options,
                                       std::span<const TokenId> kept) const {
  size_t start = prompt.size();
  for (const std::string& option : options) start = std::min(start, prompt.find(option));
  if (start == prompt.size()) return true;
  // Decoded, as the tokenizer may normalise the text; compared as text, as a token may reach across the options' start.
  const std::string tail = tokenizer_.decode(tokenizer_.encode(prompt.substr(start)));
  return tokenizer_.decode(std::vector<TokenId>(kept.begin(), kept.end())).ends_with(tail);
}

Fit ExampleEncoder::encode_row(const PromptRow& row, std::span<const std::string> options, Example& example) const {
  const std::vector<TokenId> answer = encode_answer(row.output);
  const std::string text = render_prompt(template_, row);
  const std::vector<TokenId> prompt = tokenizer_.encode(text);
  const std::int64_t room = room_for_prompt(answer);
  if (static_cast<std::int64_t>(prompt.size()) <= room) {
    assemble(prompt, answer, example);
    return Fit::whole;
  }
  if (room < 1) return Fit::too_long;
  const auto kept = std::span(prompt).last(static_cast<size_t>(room));
  if (!shows_all_options(text, options, kept)) return Fit::too_long;
  assemble(kept, answer, example);
  return Fit::truncated;
}

std::vector<TokenId> ExampleEncoder::encode_answer(std::string_view title) const {
  return tokenizer_.encode(render_output(template_, title));
}

}  // namespace allreco::data
