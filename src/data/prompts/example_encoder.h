// Text to tokens: ids = [BOS] + prompt + answer + [EOS], prompt and answer encoded apart, so that the answer's tokens
// do not depend on the prompt and the supervised part is known exactly.
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/prompts/template.h"
#include "data/store/dataset.h"
#include "data/tokenizer/tokenizer.h"

namespace allreco::data {

/// What `max_length = 0` of prepare means for texts.
inline constexpr std::int64_t kDefaultMaxLength = 512;

struct EncodeOptions {
  std::int64_t max_length = kDefaultMaxLength;  // tokens, BOS and EOS included
  bool add_bos = true;
  bool add_eos = true;
  std::uint64_t seed = 42;  // draws the phrasing of a template that has several
};

enum class Fit { whole, truncated, too_long };

/// A prompt made from a history.
struct HistoryPrompt {
  std::vector<TokenId> tokens;  // BOS among them
  std::size_t num_dropped = 0;  // the oldest items, which it does not show
  bool fits = false;            // else it is too long although it shows one item at most
};

/// What ends an answer: the template's answer_end, or EOS; -1: the tokenizer has none. UserError when it lacks the
/// first.
TokenId answer_end_id(const Tokenizer& tokenizer, const PromptTemplate& prompt_template);

/// Thread-safe; keeps references to both arguments.
class ExampleEncoder {
 public:
  /// BOS is added where the tokenizer has one that begins texts. UserError when EOS is asked for and there is none, and
  /// when the tokenizer lacks a control token of the template.
  ExampleEncoder(const Tokenizer& tokenizer, const PromptTemplate& prompt_template, const EncodeOptions& options);

  /// Too long a prompt, beside an answer of that many tokens, loses its oldest history, item by item, but not the last
  /// one. REQUIRES a phrasing that the template has.
  HistoryPrompt encode_prompt(std::span<const ItemText> history, std::span<const ItemText> options,
                              std::size_t num_answer_tokens, std::size_t phrasing = 0) const;

  /// Sets tokens and prompt_length from such a prompt; too_long (and nothing set) if it does not fit. The phrasing is
  /// drawn by (seed, the example's user, timestamp and target). REQUIRES the example's gold where the template's
  /// answers are labels.
  Fit encode_history(std::span<const ItemText> history, std::span<const ItemText> options, std::string_view target,
                     Example& example) const;
  /// The same of titles alone. REQUIRES a template that shows no more of items.
  Fit encode_history(std::span<const std::string_view> history, std::span<const std::string_view> options,
                     std::string_view target, Example& example) const;

  /// A ready row. Too long a prompt loses tokens from the front of its input; where that is not enough, or there is
  /// none, of its instruction, too. What the template puts before them stays, and so do the options that the prompt
  /// shows, from the first one's label on. too_long when that does not fit, and when output or options are texts that
  /// cannot.
  Fit encode_row(const PromptRow& row, std::span<const std::string> options, Example& example) const;

  /// The tokens of `title` as an answer, without EOS: what a candidate is scored by.
  std::vector<TokenId> encode_answer(std::string_view title) const;

  TokenId bos_id() const { return options_.add_bos ? tokenizer_.bos_id() : -1; }
  TokenId eos_id() const { return options_.add_eos ? end_id_ : -1; }

 private:
  size_t phrasing_of(const Example& example) const;
  /// Tokens left for the prompt's text beside BOS, answer and EOS.
  std::int64_t room_for_prompt(std::size_t num_answer_tokens) const;
  std::vector<TokenId> after_bos(std::span<const TokenId> prompt) const;
  void assemble(std::vector<TokenId> prompt, const std::vector<TokenId>& answer, Example& example) const;
  std::vector<TokenId> encode_parts(const std::vector<PromptPart>& parts) const;
  /// Whether a text is so long that its tokens cannot fit.
  bool is_hopeless(std::string_view text) const;
  /// Leaves the end of such a text, from a word on, which is more than fits: the tokens of words do not depend on words
  /// before them.
  bool drop_hopeless_front(std::string& text) const;
  /// The tokens at the front of `prompt` that belong to the template, and to the instruction of a row with input.
  size_t length_of_head(const std::vector<TokenId>& prompt, const PromptRow& row, bool with_instruction) const;
  bool shows_all_options(const std::string& prompt, std::span<const std::string> options,
                         std::span<const TokenId> kept) const;
  /// Sets `prompt` to `room` tokens of the row's; false where what must stay does not fit.
  bool shorten(std::vector<TokenId>& prompt, const PromptRow& row, std::span<const std::string> options,
               std::int64_t room) const;

  const Tokenizer& tokenizer_;
  const PromptTemplate& template_;
  EncodeOptions options_;
  std::map<std::string, TokenId> control_ids_;
  TokenId end_id_ = -1;
};

}  // namespace allreco::data
