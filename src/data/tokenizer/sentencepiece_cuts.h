// Where a text may be cut so that the tokens of its parts are those of the whole, for the SentencePiece models of which
// that can be proven. The proof is in docs/tokenizer.md.
#pragma once
#include <functional>
#include <string_view>
#include <unordered_set>

namespace allreco::data {

class SentencePieceCuts {
 public:
  /// `model`: a serialised ModelProto.
  explicit SentencePieceCuts(std::string_view model);

  /// False: nothing is proven of this model, and texts must stay whole.
  bool are_proven() const { return are_proven_; }
  /// Calls visit(part) with the parts that the library is to encode, one after another; each part's tokens are those
  /// that it has within the text. A text that must stay whole is one part. REQUIRES are_proven().
  void for_each_part(std::string_view text, const std::function<void(std::string_view part)>& visit) const;

 private:
  void read_piece(std::string_view message);
  void read_trainer(std::string_view message);
  void read_normalizer(std::string_view message);
  bool may_cut_at(std::string_view text, std::size_t at) const;

  bool is_bpe_ = false, is_plain_ = true;  // plain: spaces are all that the normaliser changes
  bool begins_with_space_ = true, removes_extra_spaces_ = true;
  bool has_space_piece_ = false;
  bool are_proven_ = false;
  std::unordered_set<char32_t> joined_to_space_;  // characters that a piece holds with a space right behind them
};

}  // namespace allreco::data
