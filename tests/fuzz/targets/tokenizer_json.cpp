// A tokenizer.json, then a text that it encodes, both ways, and decodes.
#include "data/tokenizer/json_tokenizer.h"
#include "fuzz/target.h"

namespace allreco::fuzz {

void tokenizer_json(Input input) {
  const auto pieces = split(input, 2);
  const data::JsonTokenizer tokenizer(std::string(pieces[1]), "tokenizer.json");
  tokenizer.decode(tokenizer.encode(pieces[0], {}), true);
  tokenizer.encode(pieces[0], {.add_special_tokens = true, .special_tokens_as_text = false});
}

}  // namespace allreco::fuzz
