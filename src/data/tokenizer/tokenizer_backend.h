// What a kind of tokenizer file must do for Tokenizer, whose comments are the contracts.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/token_id.h"

namespace allreco::data {

/// Immutable; thread-safe.
class TokenizerBackend {
 public:
  virtual ~TokenizerBackend() = default;
  virtual std::vector<TokenId> encode(std::string_view text) const = 0;
  virtual std::vector<TokenId> encode_continued(std::string_view text) const = 0;
  virtual std::vector<TokenId> encode_with_special_tokens(std::string_view text) const = 0;
  /// REQUIRES ids in the vocabulary.
  virtual std::string decode(const std::vector<TokenId>& ids) const = 0;
  virtual std::optional<TokenId> control_token(std::string_view text) const = 0;
  virtual TokenId bos_id() const = 0;
  virtual TokenId eos_id() const = 0;
  virtual std::int64_t vocab_size() const = 0;
};

/// `bytes`: the content of the file `path`. UserError naming it when it is not such a file.
std::unique_ptr<TokenizerBackend> make_sentencepiece_backend(const std::string& bytes,
                                                             const std::filesystem::path& path);
/// Reads BOS and EOS from the files beside `path` (tokenizer_config.json, ...) as well.
std::unique_ptr<TokenizerBackend> make_json_backend(const std::string& bytes, const std::filesystem::path& path);

}  // namespace allreco::data
