// The added tokens of a tokenizer.json: texts that are one token wherever they stand, control tokens among them.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/tokenizer/bpe.h"
#include "data/tokenizer/json_fields.h"
#include "data/tokenizer/normalizers.h"

namespace allreco::data {

struct AddedToken {
  TokenId id = -1;
  std::string content;
  bool single_word = false;  // not beside a letter or digit
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;
  bool normalized = false;  // looked for in the normalized text
  bool special = false;     // a control token
};

/// A part of a text: an added token, or (id -1) text between two.
struct Segment {
  size_t begin = 0, end = 0;
  TokenId id = -1;
};

/// Finds texts, of those that begin at one place the longest.
class TextFinder {
 public:
  /// The first of equal texts counts.
  void add(const std::string& text, size_t index);
  bool is_empty() const { return nodes_.size() <= 1; }
  struct Match {
    size_t begin, end, index;
  };
  /// The first match at or after `from`; index npos: none.
  Match find(std::string_view text, size_t from) const;
  static constexpr size_t npos = static_cast<size_t>(-1);

 private:
  struct Node {
    std::vector<std::pair<unsigned char, std::uint32_t>> children;
    size_t index = npos;
  };
  const std::uint32_t* child(std::uint32_t node, unsigned char byte) const;

  std::vector<Node> nodes_{1};
  std::array<bool, 256> starts_{};
};

class AddedTokens {
 public:
  enum class Pass { raw, normalized };

  /// UserError for duplicates, empty texts, and ids that are not those that the library gives: the vocabulary's, or the
  /// next ones after it, without holes.
  AddedTokens(const Fields& list, const Bpe& model, const Normalizer* normalizer, const std::string& where);

  /// Sets `segments` to the parts of `text`. `special_as_text`: control tokens are text.
  void cut(std::string_view text, Pass pass, bool special_as_text, std::vector<Segment>& segments) const;
  bool has_any(Pass pass) const { return !finder(pass).is_empty(); }

  const std::vector<AddedToken>& list() const { return tokens_; }
  /// Null: no added token.
  const AddedToken* of_id(TokenId id) const;
  const AddedToken* of_text(std::string_view text) const;

 private:
  const TextFinder& finder(Pass pass) const { return pass == Pass::raw ? raw_ : normalized_; }
  void add(AddedToken token, const Bpe& model, const std::string& where);
  void build_finders(const Normalizer* normalizer, const std::string& where);

  std::vector<AddedToken> tokens_;
  TokenId next_id_ = 0;
  std::unordered_map<std::string, size_t> by_text_;
  std::unordered_map<TokenId, size_t> by_id_;
  TextFinder raw_, normalized_;
};

}  // namespace allreco::data
