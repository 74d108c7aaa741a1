#include "data/prepare/example_encoder.h"

#include <algorithm>

#include "core/check.h"

namespace allreco::data {

namespace {

TokenId control_id(const Tokenizer& tokenizer, const std::string& token) {
  const auto id = tokenizer.control_token(token);
  if (!id) {
    core::user_error(
        "the template needs the control token {}, which the tokenizer {} does not have: use the template of "
        "its model, or plain",
        token, tokenizer.path().string());
  }
  return *id;
}

/// The texts without the control tokens.
std::string text_of(const std::vector<PromptPart>& parts) {
  std::string text;
  for (const PromptPart& part : parts) {
    if (!part.is_control) text += part.text;
  }
  return text;
}

}  // namespace

TokenId answer_end_id(const Tokenizer& tokenizer, const PromptTemplate& prompt_template) {
  return prompt_template.answer_end.empty() ? tokenizer.eos_id() : control_id(tokenizer, prompt_template.answer_end);
}

ExampleEncoder::ExampleEncoder(const Tokenizer& tokenizer, const PromptTemplate& prompt_template,
                               const EncodeOptions& options)
    : tokenizer_(tokenizer), template_(prompt_template), options_(options) {
  for (const std::string& token : prompt_template.control_tokens) control_ids_[token] = control_id(tokenizer, token);
  end_id_ = answer_end_id(tokenizer, prompt_template);
  if (options.add_eos && end_id_ < 0) {
    core::user_error("tokenizer {} has no EOS token: set add_eos = false", tokenizer.path().string());
  }
}

std::int64_t ExampleEncoder::room_for_prompt(const std::vector<TokenId>& answer) const {
  const std::int64_t ends = (bos_id() >= 0 ? 1 : 0) + (options_.add_eos ? 1 : 0);
  return options_.max_length - ends - static_cast<std::int64_t>(answer.size());
}

void ExampleEncoder::assemble(std::span<const TokenId> prompt, const std::vector<TokenId>& answer,
                              Example& example) const {
  auto& tokens = example.tokens;
  tokens.clear();
  if (bos_id() >= 0) tokens.push_back(bos_id());
  tokens.insert(tokens.end(), prompt.begin(), prompt.end());
  example.prompt_length = static_cast<std::int64_t>(tokens.size());
  tokens.insert(tokens.end(), answer.begin(), answer.end());
  if (options_.add_eos) tokens.push_back(end_id_);
}

Fit ExampleEncoder::encode_history(std::span<const std::string_view> history, std::span<const std::string_view> options,
                                   std::string_view target, Example& example) const {
  const std::vector<TokenId> answer = encode_answer(target);
  const std::int64_t room = room_for_prompt(answer);
  for (size_t num_dropped = 0; num_dropped < history.size(); ++num_dropped) {
    const PromptRow row = render_history(template_, history.subspan(num_dropped), options);
    const std::vector<TokenId> prompt = encode_parts(render_prompt_parts(template_, row));
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
  const std::vector<PromptPart> parts = render_prompt_parts(template_, row);
  std::vector<TokenId> prompt = encode_parts(parts);
  const std::int64_t room = room_for_prompt(answer);
  if (static_cast<std::int64_t>(prompt.size()) <= room) {
    assemble(prompt, answer, example);
    return Fit::whole;
  }
  const bool is_chat = !template_.control_tokens.empty();
  const size_t head = is_chat ? length_of_head(prompt, !row.input.empty()) : 0;
  const size_t tail = is_chat ? encode_parts(prompt_tail(template_, !row.input.empty())).size() : 0;
  if (room < static_cast<std::int64_t>(head + tail + 1)) return Fit::too_long;
  prompt.erase(prompt.begin() + static_cast<std::ptrdiff_t>(head),
               prompt.end() - (room - static_cast<std::ptrdiff_t>(head)));
  if (!shows_all_options(text_of(parts), options, prompt)) return Fit::too_long;
  assemble(prompt, answer, example);
  return Fit::truncated;
}

std::vector<TokenId> ExampleEncoder::encode_answer(std::string_view title) const {
  const std::string text = render_output(template_, title);
  return template_.control_tokens.empty() ? tokenizer_.encode(text) : tokenizer_.encode_continued(text);
}

std::vector<TokenId> ExampleEncoder::encode_parts(const std::vector<PromptPart>& parts) const {
  std::vector<TokenId> ids;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].is_control) {
      ids.push_back(control_ids_.at(parts[i].text));
      continue;
    }
    const auto more = i == 0 ? tokenizer_.encode(parts[i].text) : tokenizer_.encode_continued(parts[i].text);
    ids.insert(ids.end(), more.begin(), more.end());
  }
  return ids;
}

size_t ExampleEncoder::length_of_head(const std::vector<TokenId>& prompt, bool has_input) const {
  const std::vector<TokenId> head = encode_parts(prompt_head(template_, has_input));
  const auto [in_prompt, in_head] = std::mismatch(prompt.begin(), prompt.end(), head.begin(), head.end());
  return static_cast<size_t>(in_prompt - prompt.begin());
}

}  // namespace allreco::data
