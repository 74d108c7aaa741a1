#include "data/prompts/example_encoder.h"

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "core/random.h"
#include "data/prompts/shown_options.h"
#include "data/prompts/template_rendering.h"

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

/// No tokenizer of texts makes so few tokens of one: of what is longer only the end is tokenised, so that a prompt of
/// 200 MB costs no more than one that fits.
constexpr size_t kMostBytesPerToken = 256;

bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }
bool is_inside_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

/// The next place from `place` on at which a text may be cut: a word's beginning, or where words are very long or there
/// are none, a character's.
size_t next_cut(std::string_view text, size_t place) {
  constexpr size_t kLongWord = 64;
  for (size_t p = place; p < std::min(text.size(), place + kLongWord); ++p)
    if (p > 0 && is_blank(text[p - 1]) && !is_blank(text[p])) return p;
  while (place < text.size() && is_inside_character(text[place])) ++place;
  return place;
}

/// Where the word before `place` begins: an option's label.
size_t begin_of_label(std::string_view text, size_t place) {
  while (place > 0 && is_blank(text[place - 1])) --place;
  while (place > 0 && !is_blank(text[place - 1])) --place;
  return place;
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

std::int64_t ExampleEncoder::room_for_prompt(std::size_t num_answer_tokens) const {
  const std::int64_t ends = (bos_id() >= 0 ? 1 : 0) + (options_.add_eos ? 1 : 0);
  return options_.max_length - ends - static_cast<std::int64_t>(num_answer_tokens);
}

std::vector<TokenId> ExampleEncoder::after_bos(std::span<const TokenId> prompt) const {
  std::vector<TokenId> tokens;
  if (bos_id() >= 0) tokens.push_back(bos_id());
  tokens.insert(tokens.end(), prompt.begin(), prompt.end());
  return tokens;
}

void ExampleEncoder::assemble(std::vector<TokenId> prompt, const std::vector<TokenId>& answer, Example& example) const {
  example.prompt_length = std::ssize(prompt);
  example.tokens = std::move(prompt);
  example.tokens.insert(example.tokens.end(), answer.begin(), answer.end());
  if (options_.add_eos) example.tokens.push_back(end_id_);
}

HistoryPrompt ExampleEncoder::encode_prompt(std::span<const ItemText> history, std::span<const ItemText> options,
                                            std::size_t num_answer_tokens, std::size_t phrasing) const {
  const std::int64_t room = room_for_prompt(num_answer_tokens);
  HistoryPrompt prompt;
  while (true) {
    const PromptRow row = render_history(template_, history.subspan(prompt.num_dropped), options, phrasing);
    const std::vector<TokenId> text = encode_parts(render_prompt_parts(template_, row));
    prompt.fits = std::ssize(text) <= room;
    if (prompt.fits || prompt.num_dropped + 1 >= history.size()) {
      prompt.tokens = after_bos(text);
      return prompt;
    }
    ++prompt.num_dropped;
  }
}

Fit ExampleEncoder::encode_history(std::span<const ItemText> history, std::span<const ItemText> options,
                                   std::string_view target, Example& example) const {
  const bool is_label = template_.answer == "label";
  core::require(!is_label || example.gold.has_value(), "an answer that is a label needs the right option's place");
  const std::vector<TokenId> answer =
      is_label ? encode_answer(label_of(template_, *example.gold)) : encode_answer(target);
  HistoryPrompt prompt = encode_prompt(history, options, answer.size(), phrasing_of(example));
  if (!prompt.fits) return Fit::too_long;
  assemble(std::move(prompt.tokens), answer, example);
  return prompt.num_dropped == 0 ? Fit::whole : Fit::truncated;
}

Fit ExampleEncoder::encode_history(std::span<const std::string_view> history, std::span<const std::string_view> options,
                                   std::string_view target, Example& example) const {
  core::require(!template_.shows_details(), "the template shows more of items than titles");
  const auto items = [](std::span<const std::string_view> titles) {
    std::vector<ItemText> texts;
    for (const std::string_view title : titles) texts.push_back({title, {}, {}, {}});
    return texts;
  };
  return encode_history(items(history), items(options), target, example);
}

size_t ExampleEncoder::phrasing_of(const Example& example) const {
  if (template_.num_phrasings() == 1) return 0;
  const auto draw = core::mix_key(
      options_.seed, {core::key_of("phrasing"), example.user.value_or(0),
                      static_cast<std::uint64_t>(example.timestamp.value_or(0)), example.target.value_or(0)});
  return draw % template_.num_phrasings();
}

bool ExampleEncoder::is_hopeless(std::string_view text) const {
  return text.size() / kMostBytesPerToken > static_cast<size_t>(options_.max_length);
}

bool ExampleEncoder::drop_hopeless_front(std::string& text) const {
  if (!is_hopeless(text)) return false;
  const size_t kept = kMostBytesPerToken * static_cast<size_t>(options_.max_length);
  text.erase(0, next_cut(text, text.size() - kept));
  return true;
}

size_t ExampleEncoder::length_of_head(const std::vector<TokenId>& prompt, const PromptRow& row,
                                      bool with_instruction) const {
  const std::vector<TokenId> head = encode_parts(prompt_head(template_, row, with_instruction));
  const auto [in_prompt, in_head] = std::mismatch(prompt.begin(), prompt.end(), head.begin(), head.end());
  return static_cast<size_t>(in_prompt - prompt.begin());
}

bool ExampleEncoder::shows_all_options(const std::string& prompt, std::span<const std::string> options,
                                       std::span<const TokenId> kept) const {
  const auto shown = find_shown_options(prompt, options);
  if (!shown) return true;
  // Decoded, as the tokenizer may normalise the text; compared as text, as a token may reach across the options' start.
  const std::string tail = tokenizer_.decode(tokenizer_.encode(prompt.substr(begin_of_label(prompt, shown->begin))));
  return tokenizer_.decode(std::vector<TokenId>(kept.begin(), kept.end())).ends_with(tail);
}

bool ExampleEncoder::shorten(std::vector<TokenId>& prompt, const PromptRow& row, std::span<const std::string> options,
                             std::int64_t room) const {
  const std::vector<PromptPart> parts = render_prompt_parts(template_, row);
  const std::vector<TokenId> whole = encode_parts(parts);
  const size_t tail = encode_parts(prompt_tail(template_, !row.input.empty())).size();
  for (const bool with_instruction : {true, false}) {
    if (with_instruction && row.input.empty()) continue;
    const size_t head = length_of_head(whole, row, with_instruction);
    if (room < static_cast<std::int64_t>(head + tail + 1)) continue;
    const auto behind = whole.end() - (room - static_cast<std::ptrdiff_t>(head));
    if (!shows_all_options(text_of(parts), options, {behind, whole.end()})) continue;
    prompt.assign(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(head));
    prompt.insert(prompt.end(), behind, whole.end());
    return true;
  }
  return false;
}

Fit ExampleEncoder::encode_row(const PromptRow& given, std::span<const std::string> options, Example& example) const {
  if (is_hopeless(given.output) || std::any_of(options.begin(), options.end(), [&](auto& o) { return is_hopeless(o); }))
    return Fit::too_long;
  PromptRow row = given;
  bool is_cut = drop_hopeless_front(row.instruction);
  is_cut = drop_hopeless_front(row.input) || is_cut;
  const std::vector<TokenId> answer = encode_answer(row.output);
  const std::int64_t room = room_for_prompt(answer.size());
  std::vector<TokenId> prompt = encode_parts(render_prompt_parts(template_, row));
  if (std::ssize(prompt) > room) {
    if (!shorten(prompt, row, options, room)) return Fit::too_long;
    is_cut = true;
  }
  assemble(after_bos(prompt), answer, example);
  return is_cut ? Fit::truncated : Fit::whole;
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

}  // namespace allreco::data
