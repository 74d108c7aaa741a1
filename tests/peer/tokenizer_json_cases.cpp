// tokenizer_json_cases TOKENIZER_JSON < cases: checks each line {text, ids, add_special_tokens, encode_special_tokens?}
// or {ids, text, skip_special_tokens}, as the `tokenizers` library made them, and counts the differences.
#include <cstdio>
#include <iostream>
#include <string>

#include "core/files.h"
#include "core/json.h"
#include "data/tokenizer/json_tokenizer.h"

namespace {

using allreco::core::Json;
using allreco::data::JsonTokenizer;

bool is_right(const JsonTokenizer& tokenizer, const Json& line) {
  const auto text = line.at("text").get<std::string>();
  const auto ids = line.at("ids").get<std::vector<allreco::data::TokenId>>();
  if (line.contains("skip_special_tokens")) return tokenizer.decode(ids, line.at("skip_special_tokens")) == text;
  return tokenizer.encode(text, {line.at("add_special_tokens"), line.value("encode_special_tokens", false)}) == ids;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::fputs("usage: tokenizer_json_cases TOKENIZER_JSON < cases\n", stderr);
    return 2;
  }
  const JsonTokenizer tokenizer(allreco::core::read_file(argv[1]), argv[1]);
  long count = 0, wrong = 0;
  for (std::string line; std::getline(std::cin, line); ++count) {
    if (is_right(tokenizer, Json::parse(line))) continue;
    if (++wrong <= 5) std::cout << "differs: " << line << '\n';
  }
  std::cout << count << " cases, " << wrong << " differences\n";
  return count > 0 && wrong == 0 ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "tokenizer_json_cases: %s\n", error.what());
  return 1;
}
