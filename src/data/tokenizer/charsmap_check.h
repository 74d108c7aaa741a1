// What sentencepiece (0.1.97) takes on trust from a model file: the normalisers' precompiled_charsmap, a double-array
// trie whose offsets it follows without looking where they lead (its issue 1269).
#pragma once
#include <string>
#include <string_view>

namespace allreco::data {

/// UserError naming `source` unless `model`, a serialised ModelProto, is well-formed as far as its normalisers, and
/// every step that a search in their tries can take stays inside the trie, and every text found inside the texts.
void check_charsmaps(std::string_view model, const std::string& source);

}  // namespace allreco::data
