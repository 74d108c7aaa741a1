// The decoder of a tokenizer.json: ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace, Sequence.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data/tokenizer/json_fields.h"

namespace allreco::data {

/// Immutable; thread-safe.
class Decoder {
 public:
  virtual ~Decoder() = default;
  /// Changes the tokens' texts, whose concatenation becomes the text.
  virtual void apply(std::vector<std::string>& tokens) const = 0;
};

/// Null where `fields` is null. UserError for a type that is not supported, by its name.
std::unique_ptr<Decoder> make_decoder(const Fields& fields, const std::string& where, int depth = 0);

}  // namespace allreco::data
