#include "data/tokenizer/tokenizer.h"

#include <sentencepiece_processor.h>

#include <type_traits>
#include <utility>

#include "core/check.h"
#include "core/files.h"
#include "data/tokenizer/charsmap_check.h"

namespace allreco::data {
namespace fs = std::filesystem;

struct Tokenizer::State {
  struct SpecialPiece {
    std::string text;
    TokenId id;
  };

  fs::path path;
  std::string sha256;
  sentencepiece::SentencePieceProcessor processor;
  std::vector<SpecialPiece> special_pieces;
};

namespace {

static_assert(std::is_same_v<TokenId, int>, "sentencepiece fills vectors of int");

struct Match {
  size_t position = std::string_view::npos;
  size_t length = 0;
  TokenId id = -1;
};

/// The first special piece in `text`; of those that start at one place, the longest.
template <class Pieces>
Match first_special(std::string_view text, const Pieces& pieces) {
  Match best;
  for (const auto& piece : pieces) {
    const size_t position = text.find(piece.text);
    if (position == std::string_view::npos) continue;
    if (position < best.position || (position == best.position && piece.text.size() > best.length))
      best = {position, piece.text.size(), piece.id};
  }
  return best;
}

}  // namespace

fs::path find_tokenizer_model(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    if (!fs::exists(path, error))
      core::user_error("tokenizer {} does not exist; give a tokenizer.model file", path.string());
    return path;
  }
  const fs::path model = path / "tokenizer.model";
  if (fs::exists(model, error)) return model;
  if (fs::exists(path / "tokenizer.json", error))
    core::user_error(
        "{} has a tokenizer.json but no tokenizer.model; only SentencePiece models are read here. Make the ids with "
        "the "
        "model's own tokenizer and give them to `prepare --tokens`",
        path.string());
  core::user_error("{} holds no tokenizer.model; give a SentencePiece model file or a directory with one",
                   path.string());
}

Tokenizer::Tokenizer(const fs::path& path) : state_(std::make_unique<State>()) {
  state_->path = find_tokenizer_model(path);
  const std::string bytes = core::read_file(state_->path);
  state_->sha256 = core::sha256_of_bytes(bytes);
  check_charsmaps(bytes, state_->path.string());
  auto& processor = state_->processor;
  const auto status = processor.LoadFromSerializedProto(bytes);
  if (!status.ok() || processor.GetPieceSize() == 0)
    core::user_error(
        "{} is not a SentencePiece model ({}); give the tokenizer.model that belongs to the language model",
        state_->path.string(), status.ok() ? "no pieces" : status.message());
  for (int id = 0; id < processor.GetPieceSize(); ++id) {
    if (processor.IsControl(id) || processor.IsUnknown(id))
      state_->special_pieces.push_back({processor.IdToPiece(id), id});
  }
}

Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

std::vector<TokenId> Tokenizer::encode(std::string_view text) const {
  std::vector<TokenId> ids;
  const auto status = state_->processor.Encode(text, &ids);
  if (!status.ok()) core::fault("sentencepiece cannot encode {} bytes of text: {}", text.size(), status.message());
  return ids;
}

std::vector<TokenId> Tokenizer::encode_with_special_tokens(std::string_view text) const {
  std::vector<TokenId> ids;
  while (!text.empty()) {
    const Match match = first_special(text, state_->special_pieces);
    const std::vector<TokenId> before = encode(text.substr(0, match.position));
    ids.insert(ids.end(), before.begin(), before.end());
    if (match.id < 0) break;
    ids.push_back(match.id);
    text.remove_prefix(match.position + match.length);
  }
  return ids;
}

std::string Tokenizer::decode(const std::vector<TokenId>& ids) const {
  for (TokenId id : ids) {
    if (id < 0 || id >= vocab_size())
      core::user_error("token id {} is not in the vocabulary of {} ({} pieces)", id, state_->path.string(),
                       vocab_size());
  }
  std::string text;
  const auto status = state_->processor.Decode(ids, &text);
  if (!status.ok()) core::fault("sentencepiece cannot decode {} ids: {}", ids.size(), status.message());
  return text;
}

TokenId Tokenizer::bos_id() const { return state_->processor.bos_id(); }
TokenId Tokenizer::eos_id() const { return state_->processor.eos_id(); }
std::int64_t Tokenizer::vocab_size() const { return state_->processor.GetPieceSize(); }
const std::string& Tokenizer::sha256() const { return state_->sha256; }
const fs::path& Tokenizer::path() const { return state_->path; }

}  // namespace allreco::data
