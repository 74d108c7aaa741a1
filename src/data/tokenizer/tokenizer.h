// Tokenizer: text to token ids and back, with the model's own file: tokenizer.json as the `tokenizers` library reads
// it, or a SentencePiece tokenizer.model. docs/tokenizer.md.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/token_id.h"

namespace allreco::data {

class TokenizerBackend;

/// The tokenizer file that `path` means: itself, or the one in that directory. Where a directory holds both
/// tokenizer.json and tokenizer.model: tokenizer.json if it can be read and both give the same ids for some hundred
/// strings, else tokenizer.model with a warning that says why. UserError when there is none.
std::filesystem::path find_tokenizer_file(const std::filesystem::path& path);

/// Whether the file's name or content is that of a tokenizer.json rather than a SentencePiece model.
bool is_tokenizer_json(const std::filesystem::path& path);

/// Immutable after construction; every method may be called from any thread.
class Tokenizer {
 public:
  /// `path`: a tokenizer.json or tokenizer.model file, or a directory that holds one (see find_tokenizer_file).
  /// UserError when it is missing or cannot be read as what it is.
  explicit Tokenizer(const std::filesystem::path& path);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  /// Ids of the text alone: no BOS, no EOS. A control token that is written in the text ("</s>", "<|im_end|>") is text
  /// like any other: a title can't end the answer or start another one. This is what users' text goes through.
  std::vector<TokenId> encode(std::string_view text) const;

  /// The same for text that follows a control token: where a tokenizer puts a space before a text, it may not put one
  /// before this.
  std::vector<TokenId> encode_continued(std::string_view text) const;

  /// For text that the program itself wrote, never a user's: control tokens written in `text` become their ids, the
  /// longest match first. So do the libraries by default: `tokenizers`, and for SentencePiece models transformers'
  /// LlamaTokenizer and llama.cpp (parse_special), where each stretch between them is encoded alone.
  std::vector<TokenId> encode_with_special_tokens(std::string_view text) const;

  /// The text of `ids`; control tokens (BOS, EOS) have none. UserError when an id is not in the vocabulary.
  std::string decode(const std::vector<TokenId>& ids) const;

  /// The control token with exactly this text; none where the tokenizer has no such one.
  std::optional<TokenId> control_token(std::string_view text) const;

  TokenId bos_id() const;  // what the tokenizer begins a text with; -1: nothing
  TokenId eos_id() const;  // -1 where the model has none
  std::int64_t vocab_size() const;
  const std::string& sha256() const;  // of the file
  const std::filesystem::path& path() const;

 private:
  std::filesystem::path path_;
  std::string sha256_;
  std::unique_ptr<TokenizerBackend> backend_;
};

}  // namespace allreco::data
