// Tokenizer: text to token ids and back, with a SentencePiece model (sentencepiece stays inside tokenizer.cpp).
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace allreco::data {

using TokenId = std::int32_t;

/// The model file that `path` means: itself, or tokenizer.model in that directory. UserError when there is none.
std::filesystem::path find_tokenizer_model(const std::filesystem::path& path);

/// Immutable after construction; every method may be called from any thread.
class Tokenizer {
 public:
  /// `path`: a tokenizer.model file, or a directory that holds one. UserError when it is missing or not a SentencePiece
  /// model.
  explicit Tokenizer(const std::filesystem::path& path);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  /// Ids of the text alone: no BOS, no EOS. The library's own ids, in which a control token that is written in the text
  /// ("</s>") is text like any other: a title can't end the answer or start another one. This is what users' text goes
  /// through.
  std::vector<TokenId> encode(std::string_view text) const;

  /// For text that the program itself wrote, never a user's: control tokens and <unk> written in `text` become their
  /// ids, the longest match first, and each stretch between them is encoded alone as encode() does. So do transformers'
  /// LlamaTokenizer and llama.cpp (parse_special).
  std::vector<TokenId> encode_with_special_tokens(std::string_view text) const;

  /// The text of `ids`; control tokens (BOS, EOS) have none. UserError when an id is not in the vocabulary.
  std::string decode(const std::vector<TokenId>& ids) const;

  TokenId bos_id() const;  // -1 where the model has none
  TokenId eos_id() const;  // -1 where the model has none
  std::int64_t vocab_size() const;
  const std::string& sha256() const;  // of the model file
  const std::filesystem::path& path() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace allreco::data
