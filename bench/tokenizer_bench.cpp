// tokenizer_bench TOKENIZER PROMPTS.jsonl REPEATS: encodes the prompt of every line on one thread, a warm-up and then
// REPEATS times, and prints the seconds of each repeat, the characters' bytes and the number of ids as JSON.
// bench/tokenizer_speed.py runs it beside the `tokenizers` library.
#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "core/check.h"
#include "core/json.h"
#include "data/tokenizer/tokenizer.h"

namespace {

using allreco::core::Json;

std::vector<std::string> read_prompts(const std::string& path) {
  std::vector<std::string> prompts;
  std::ifstream lines(path);
  for (std::string line; std::getline(lines, line);) {
    const Json row = Json::parse(line);
    if (row.contains("prompt") && row.at("prompt").is_string()) prompts.push_back(row.at("prompt"));
  }
  if (prompts.empty()) allreco::core::user_error("{} holds no prompts", path);
  return prompts;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 4) {
    std::fputs("usage: tokenizer_bench TOKENIZER PROMPTS.jsonl REPEATS\n", stderr);
    return 2;
  }
  const allreco::data::Tokenizer tokenizer(argv[1]);
  const std::vector<std::string> prompts = read_prompts(argv[2]);
  Json seconds = Json::array();
  size_t num_ids = 0;
  for (int i = 0; i <= std::stoi(argv[3]); ++i) {
    num_ids = 0;
    const auto start = std::chrono::steady_clock::now();
    for (const std::string& prompt : prompts) num_ids += tokenizer.encode(prompt).size();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    if (i > 0) seconds.push_back(elapsed.count());
  }
  std::puts(Json{{"prompts", prompts.size()}, {"ids", num_ids}, {"seconds", seconds}}.dump().c_str());
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "tokenizer_bench: %s\n", error.what());
  return 1;
}
