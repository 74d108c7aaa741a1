// A SentencePiece model, then a text that it encodes and decodes.
#include "data/tokenizer/tokenizer.h"

#include "fuzz/target.h"

namespace allreco::fuzz {

void tokenizer(Input input) {
  // The text comes first: a model holds any bytes.
  const auto pieces = split(input, 2);
  const Directory directory;
  const data::Tokenizer tokenizer(directory.write("tokenizer.model", pieces[1]));
  tokenizer.decode(tokenizer.encode(pieces[0]));
  tokenizer.encode_with_special_tokens(pieces[0]);
}

}  // namespace allreco::fuzz
