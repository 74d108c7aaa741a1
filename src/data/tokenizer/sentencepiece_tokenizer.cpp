#include <sentencepiece_processor.h>

#include <algorithm>
#include <type_traits>

#include "core/check.h"
#include "data/tokenizer/charsmap_check.h"
#include "data/tokenizer/scratch_pool.h"
#include "data/tokenizer/sentencepiece_cuts.h"
#include "data/tokenizer/tokenizer_backend.h"
#include "data/tokenizer/word_cache.h"

namespace allreco::data {
namespace fs = std::filesystem;

namespace {

static_assert(std::is_same_v<TokenId, int>, "sentencepiece fills vectors of int");

struct SpecialPiece {
  std::string text;
  TokenId id;
};

struct Match {
  size_t position = std::string_view::npos;
  size_t length = 0;
  TokenId id = -1;
};

/// The first special piece in `text`; of those that start at one place, the longest.
Match first_special(std::string_view text, const std::vector<SpecialPiece>& pieces) {
  Match best;
  for (const SpecialPiece& piece : pieces) {
    const size_t position = text.find(piece.text);
    if (position == std::string_view::npos) continue;
    if (position < best.position || (position == best.position && piece.text.size() > best.length))
      best = {position, piece.text.size(), piece.id};
  }
  return best;
}

class SentencePieceTokenizer : public TokenizerBackend {
 public:
  SentencePieceTokenizer(const std::string& bytes, const fs::path& path) : path_(path.string()), cuts_(bytes) {
    check_charsmaps(bytes, path.string());
    const auto status = processor_.LoadFromSerializedProto(bytes);
    if (!status.ok() || processor_.GetPieceSize() == 0)
      core::user_error(
          "{} is not a SentencePiece model ({}); give the tokenizer.model that belongs to the language model",
          path.string(), status.ok() ? "no pieces" : status.message());
    for (int id = 0; id < processor_.GetPieceSize(); ++id) {
      if (processor_.IsControl(id) || processor_.IsUnknown(id))
        special_pieces_.push_back({processor_.IdToPiece(id), id});
    }
    begins_with_space_ = !encode("a").empty() && processor_.IdToPiece(encode("a").front()).starts_with("\u2581");
  }

  std::vector<TokenId> encode(std::string_view text) const override {
    std::vector<TokenId> ids;
    if (!cuts_.are_proven()) {
      encode_whole(text, ids);
      return ids;
    }
    ScratchPool<WordCache>::Lease cache(caches_);
    cuts_.for_each_part(text, [&](std::string_view part) { encode_part(part, *cache, ids); });
    return ids;
  }

  /// The library begins every text with a space where the model says so; the one that is there stands for it.
  std::vector<TokenId> encode_continued(std::string_view text) const override {
    if (begins_with_space_ && text.starts_with(' ')) text.remove_prefix(1);
    return encode(text);
  }

  std::vector<TokenId> encode_with_special_tokens(std::string_view text) const override {
    std::vector<TokenId> ids;
    while (!text.empty()) {
      const Match match = first_special(text, special_pieces_);
      const std::vector<TokenId> before = encode(text.substr(0, match.position));
      ids.insert(ids.end(), before.begin(), before.end());
      if (match.id < 0) break;
      ids.push_back(match.id);
      text.remove_prefix(match.position + match.length);
    }
    return ids;
  }

  std::string decode(const std::vector<TokenId>& ids) const override {
    std::string text;
    const auto status = processor_.Decode(ids, &text);
    if (!status.ok()) core::user_error("{} cannot decode {} ids: {}", path_, ids.size(), status.message());
    return text;
  }

  std::optional<TokenId> control_token(std::string_view text) const override {
    const auto found = std::find_if(special_pieces_.begin(), special_pieces_.end(),
                                    [&](const SpecialPiece& piece) { return piece.text == text; });
    return found == special_pieces_.end() ? std::nullopt : std::optional<TokenId>(found->id);
  }

  TokenId bos_id() const override { return processor_.bos_id(); }
  TokenId eos_id() const override { return processor_.eos_id(); }
  std::int64_t vocab_size() const override { return processor_.GetPieceSize(); }

 private:
  /// Replaces `ids`.
  void encode_whole(std::string_view text, std::vector<TokenId>& ids) const {
    const auto status = processor_.Encode(text, &ids);
    if (!status.ok()) core::user_error("{} cannot encode a text of {} bytes: {}", path_, text.size(), status.message());
  }

  void encode_part(std::string_view part, WordCache& cache, std::vector<TokenId>& ids) const {
    if (part.empty()) return;
    if (WordCache::takes(part)) {
      const std::vector<TokenId>& known =
          cache.ids_of(part, [&](std::vector<TokenId>& own) { encode_whole(part, own); });
      ids.insert(ids.end(), known.begin(), known.end());
      return;
    }
    std::vector<TokenId> own;
    encode_whole(part, own);
    ids.insert(ids.end(), own.begin(), own.end());
  }

  std::string path_;
  SentencePieceCuts cuts_;
  sentencepiece::SentencePieceProcessor processor_;
  mutable ScratchPool<WordCache> caches_;
  std::vector<SpecialPiece> special_pieces_;
  bool begins_with_space_ = false;
};

}  // namespace

std::unique_ptr<TokenizerBackend> make_sentencepiece_backend(const std::string& bytes, const fs::path& path) {
  return std::make_unique<SentencePieceTokenizer>(bytes, path);
}

}  // namespace allreco::data
