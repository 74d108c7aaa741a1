#include "data/tokenizer/tokenizer.h"

#include <utility>

#include "core/check.h"
#include "core/files.h"
#include "data/tokenizer/tokenizer_backend.h"
#include "data/tokenizer/tokenizer_choice.h"

namespace allreco::data {
namespace fs = std::filesystem;

namespace {

std::unique_ptr<TokenizerBackend> make_backend(const std::string& bytes, const fs::path& path) {
  return is_tokenizer_json(path) ? make_json_backend(bytes, path) : make_sentencepiece_backend(bytes, path);
}

}  // namespace

bool is_tokenizer_json(const fs::path& path) { return path.extension() == ".json"; }

fs::path find_tokenizer_file(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    if (!fs::exists(path, error)) {
      core::user_error(
          "tokenizer {} does not exist; give a tokenizer.json or tokenizer.model file, or a directory with one",
          path.string());
    }
    return path;
  }
  const fs::path json = path / "tokenizer.json", model = path / "tokenizer.model";
  const bool has_json = fs::exists(json, error), has_model = fs::exists(model, error);
  if (!has_json && !has_model) {
    core::user_error("{} holds neither a tokenizer.json nor a tokenizer.model; give one, or a directory with one",
                     path.string());
  }
  if (has_json && has_model) return choose_tokenizer_file(json, model);
  return has_json ? json : model;
}

Tokenizer::Tokenizer(const fs::path& path) : path_(find_tokenizer_file(path)) {
  const std::string bytes = core::read_file(path_);
  sha256_ = core::sha256_of_bytes(bytes);
  backend_ = make_backend(bytes, path_);
}

Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

std::vector<TokenId> Tokenizer::encode(std::string_view text) const { return backend_->encode(text); }

std::vector<TokenId> Tokenizer::encode_continued(std::string_view text) const {
  return backend_->encode_continued(text);
}

std::vector<TokenId> Tokenizer::encode_with_special_tokens(std::string_view text) const {
  return backend_->encode_with_special_tokens(text);
}

std::string Tokenizer::decode(const std::vector<TokenId>& ids) const {
  for (const TokenId id : ids) {
    if (id < 0 || id >= vocab_size())
      core::user_error("token id {} is not in the vocabulary of {} ({} pieces)", id, path_.string(), vocab_size());
  }
  return backend_->decode(ids);
}

std::optional<TokenId> Tokenizer::control_token(std::string_view text) const { return backend_->control_token(text); }
TokenId Tokenizer::bos_id() const { return backend_->bos_id(); }
TokenId Tokenizer::eos_id() const { return backend_->eos_id(); }
std::int64_t Tokenizer::vocab_size() const { return backend_->vocab_size(); }
const std::string& Tokenizer::sha256() const { return sha256_; }
const fs::path& Tokenizer::path() const { return path_; }

}  // namespace allreco::data
