// tokenize_lines MODEL: for each line of stdin, a JSON string, writes its ids as a JSON array. The peer checks compare
// them with other tokenizers.
#include <cstdio>
#include <iostream>
#include <string>

#include "core/json.h"
#include "data/tokenizer/tokenizer.h"

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::fputs("usage: tokenize_lines MODEL < lines\n", stderr);
    return 2;
  }
  const allreco::data::Tokenizer tokenizer(argv[1]);
  for (std::string line; std::getline(std::cin, line);) {
    const auto text = allreco::core::Json::parse(line).get<std::string>();
    std::cout << allreco::core::Json(tokenizer.encode(text)).dump() << '\n';
  }
  return std::cout.flush() ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "tokenize_lines: %s\n", error.what());
  return 1;
}
