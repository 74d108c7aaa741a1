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

class Tokenizer {
 public:
  /// `path`: a tokenizer.model file, or a directory that holds one. UserError when it is missing or not a SentencePiece model.
  explicit Tokenizer(const std::filesystem::path& path);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  /// Ids of the text alone: no BOS, no EOS; control tokens written in the text ("</s>") are encoded as text. Thread-safe.
  std::vector<TokenId> encode(std::string_view text) const;
  std::string decode(const std::vector<TokenId>& ids) const;

  TokenId bos_id() const;  // -1 where the model has none
  TokenId eos_id() const;
  std::int64_t vocab_size() const;
  const std::string& sha256() const;  // of the model file
  const std::filesystem::path& path() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace allreco::data
