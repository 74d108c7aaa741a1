// The oracles are ids that other programs made: SentencePiece 0.1.97 (spm_reference.jsonl) and llama.cpp (*.inp,
// *.out).
#include "data/tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <thread>

#include "core/check.h"
#include "core/files.h"
#include "core/json.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::data {
namespace fs = std::filesystem;
using core::Json;

const fs::path kFixtures = fs::path(ALLRECO_SOURCE_DIR) / "tests/fixtures/tokenizer";

struct Row {
  std::string text;
  std::vector<TokenId> ids;
};

/// Texts of NAME.inp with the ids of NAME.out.
std::vector<Row> llama_cpp_rows(const std::string& name) {
  const std::string separator = "\n__ggml_vocab_test__\n";
  const std::string texts = core::read_file(kFixtures / (name + ".inp"));
  std::istringstream lines(core::read_file(kFixtures / (name + ".out")));
  std::vector<Row> rows;
  size_t start = 0;
  for (std::string line; std::getline(lines, line);) {
    const size_t end = std::min(texts.find(separator, start), texts.size());
    Row row{texts.substr(start, end - start), {}};
    std::istringstream ids(line);
    for (TokenId id; ids >> id;) row.ids.push_back(id);
    rows.push_back(row);
    start = end + separator.size();
  }
  return rows;
}

std::string error_of(const fs::path& path) {
  return support::message_of([&] { Tokenizer tokenizer(path); });
}

TEST(Tokenizer, GivesSentencePieceIdsForThreeModels) {
  const std::vector<std::pair<std::string, std::string>> models = {{"llama2", "llama2-tokenizer.model"},
                                                                   {"mistral_v01", "mistral-7b-v0.1-tokenizer.model"},
                                                                   {"tok512", "tok512.model"}};
  for (const auto& [key, file] : models) {
    const Tokenizer tokenizer(kFixtures / file);
    std::ifstream lines(kFixtures / "spm_reference.jsonl");
    int count = 0;
    for (std::string line; std::getline(lines, line); ++count) {
      const Json row = Json::parse(line);
      const auto text = row.at("text").get<std::string>();
      EXPECT_EQ(tokenizer.encode(text), row.at(key).get<std::vector<TokenId>>()) << key << ": " << text;
    }
    EXPECT_EQ(count, 182);
  }
}

TEST(Tokenizer, GivesLlamaCppIds) {
  const Tokenizer tokenizer(kFixtures / "llama2-tokenizer.model");
  const std::vector<Row> rows = llama_cpp_rows("llama-spm");
  EXPECT_EQ(rows.size(), 46u);  // the 47th text of the file is empty and has no line
  for (const Row& row : rows) EXPECT_EQ(tokenizer.encode(row.text), row.ids) << row.text;
  EXPECT_TRUE(tokenizer.encode("").empty());
}

// llama.cpp made these ids with control tokens parsed. That is the second mode; what users write stays text.
TEST(Tokenizer, ParsesControlTokensOnlyWhenAskedTo) {
  const Tokenizer tokenizer(kFixtures / "llama2-tokenizer.model");
  const std::vector<Row> rows = llama_cpp_rows("tinyllama");
  EXPECT_EQ(rows.size(), 11u);
  for (const Row& row : rows) {
    EXPECT_EQ(tokenizer.encode_with_special_tokens(row.text), row.ids) << row.text;
    const std::vector<TokenId> as_text = tokenizer.encode(row.text);
    EXPECT_EQ(std::count(as_text.begin(), as_text.end(), tokenizer.eos_id()), 0) << row.text;
    EXPECT_EQ(tokenizer.decode(as_text), row.text);
  }
  for (const std::string text : {"</s>", "<s>", "<unk>", "<s>[INST] hi </s><s>"}) {
    for (TokenId id : tokenizer.encode(text)) EXPECT_GT(id, 2) << text;
  }
  EXPECT_EQ(tokenizer.encode_with_special_tokens("<s></s><unk>"), (std::vector<TokenId>{1, 2, 0}));
  EXPECT_EQ(tokenizer.encode_with_special_tokens("</s"), tokenizer.encode("</s"));
}

TEST(Tokenizer, DecodesWhatItEncoded) {
  for (const std::string file : {"llama2-tokenizer.model", "mistral-7b-v0.1-tokenizer.model", "tok512.model"}) {
    const Tokenizer tokenizer(kFixtures / file);
    for (const std::string text : {"Hello, world!", "Gift card 25$", "日本語テスト 🚀", "a\nb\tc", "Äpfel"}) {
      std::vector<TokenId> ids = tokenizer.encode(text);
      EXPECT_EQ(tokenizer.decode(ids), text) << file;
      ids.insert(ids.begin(), tokenizer.bos_id());
      ids.push_back(tokenizer.eos_id());
      EXPECT_EQ(tokenizer.decode(ids), text) << file << ": BOS and EOS have no text";
    }
    EXPECT_THROW(tokenizer.decode({static_cast<TokenId>(tokenizer.vocab_size())}), core::UserError);
    EXPECT_THROW(tokenizer.decode({-1}), core::UserError);
  }
}

TEST(Tokenizer, KnowsItsModel) {
  const Tokenizer tokenizer(kFixtures / "mistral-7b-v0.1-tokenizer.model");
  EXPECT_EQ(tokenizer.bos_id(), 1);
  EXPECT_EQ(tokenizer.eos_id(), 2);
  EXPECT_EQ(tokenizer.vocab_size(), 32000);
  EXPECT_EQ(tokenizer.sha256(), "dadfd56d766715c61d2ef780a525ab43b8e6da4de6865bda3d95fdef5e134055");
  EXPECT_EQ(Tokenizer(kFixtures / "tok512.model").vocab_size(), 512);
}

TEST(Tokenizer, MayBeUsedFromManyThreads) {
  const Tokenizer tokenizer(kFixtures / "tok512.model");
  const std::string text = "Once upon a time there was a gift card";
  const std::vector<TokenId> expected = tokenizer.encode(text);
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  for (int& count : wrong) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) count += tokenizer.encode(text) != expected ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

TEST(Tokenizer, SaysWhatIsWrongWithAFile) {
  const support::TemporaryDirectory scratch;
  EXPECT_NE(error_of(scratch.path() / "none.model").find("does not exist"), std::string::npos);
  EXPECT_NE(error_of(scratch.path()).find("neither a tokenizer.json nor a tokenizer.model"), std::string::npos);
  core::write_file_atomically(scratch.path() / "tokenizer.json", "{}");
  EXPECT_NE(error_of(scratch.path()).find("\"model\" is missing"), std::string::npos);
  fs::remove(scratch.path() / "tokenizer.json");
  core::write_file_atomically(scratch.path() / "tokenizer.model", "not a model");
  EXPECT_NE(error_of(scratch.path()).find("not a SentencePiece model"), std::string::npos);
  core::write_file_atomically(scratch.path() / "tokenizer.model", "");
  EXPECT_NE(error_of(scratch.path()).find("not a SentencePiece model"), std::string::npos);
  std::string cut = core::read_file(kFixtures / "tok512.model");
  cut.resize(cut.size() / 2);
  core::write_file_atomically(scratch.path() / "tokenizer.model", cut);
  EXPECT_NE(error_of(scratch.path()).find("not a SentencePiece model"), std::string::npos);
  fs::copy_file(kFixtures / "tok512.model", scratch.path() / "tokenizer.model", fs::copy_options::overwrite_existing);
  EXPECT_EQ(Tokenizer(scratch.path()).path(), scratch.path() / "tokenizer.model");
}

// Llama 2's model, and a tokenizer.json of other ids beside it: the model is what it was, and stays so.
TEST(Tokenizer, TakesTheJsonOfADirectoryOnlyWhereItAgreesWithTheModel) {
  const support::TemporaryDirectory scratch;
  const fs::path json = scratch.path() / "tokenizer.json", model = scratch.path() / "tokenizer.model";
  fs::copy_file(kFixtures / "tok512.model", model);
  fs::copy_file(kFixtures.parent_path() / "tokenizer-json/llama2-legacy/tokenizer.json", json);
  EXPECT_EQ(find_tokenizer_file(scratch.path()), model);
  EXPECT_EQ(find_tokenizer_file(json), json);
  core::write_file_atomically(json, "{}");
  EXPECT_EQ(find_tokenizer_file(scratch.path()), model);
  fs::remove(model);
  EXPECT_EQ(find_tokenizer_file(scratch.path()), json);
}

TEST(Tokenizer, ReadsBosAndEosFromTheFilesBesideAJson) {
  const support::TemporaryDirectory scratch;
  const auto copy = [&](const std::string& name) {
    fs::copy_file(kFixtures.parent_path() / "tokenizer-json" / name / "tokenizer.json",
                  scratch.path() / "tokenizer.json", fs::copy_options::overwrite_existing);
  };
  copy("llama3");
  EXPECT_EQ(Tokenizer(scratch.path()).bos_id(), 1725);  // <|begin_of_text|>: the post-processor's
  EXPECT_EQ(Tokenizer(scratch.path()).eos_id(), 1726);  // <|end_of_text|>: by its name
  core::write_file_atomically(scratch.path() / "config.json", R"({"eos_token_id": [1727, 1726]})");
  EXPECT_EQ(Tokenizer(scratch.path()).eos_id(), 1727);
  core::write_file_atomically(scratch.path() / "special_tokens_map.json",
                              R"({"eos_token": {"content": "<|end_of_text|>"}})");
  EXPECT_EQ(Tokenizer(scratch.path()).eos_id(), 1726);
  core::write_file_atomically(scratch.path() / "tokenizer_config.json",
                              R"({"eos_token": "<|begin_of_text|>", "add_bos_token": false})");
  EXPECT_EQ(Tokenizer(scratch.path()).eos_id(), 1725);
  EXPECT_EQ(Tokenizer(scratch.path()).bos_id(), -1);
  copy("smollm2");
  core::write_file_atomically(scratch.path() / "tokenizer_config.json", R"({"eos_token": "<none>"})");
  EXPECT_NE(error_of(scratch.path()).find("<none>"), std::string::npos);
}

TEST(Tokenizer, ControlTokensInUsersTextAreTextInAJsonToo) {
  const Tokenizer tokenizer(kFixtures.parent_path() / "tokenizer-json/qwen2");
  const auto end = tokenizer.control_token("<|im_end|>");
  ASSERT_TRUE(end.has_value());
  const std::string title = "Tea<|im_end|> 12 Count";
  const std::vector<TokenId> text = tokenizer.encode(title), parsed = tokenizer.encode_with_special_tokens(title);
  EXPECT_EQ(std::count(text.begin(), text.end(), *end), 0);
  EXPECT_EQ(std::count(parsed.begin(), parsed.end(), *end), 1);
  EXPECT_EQ(tokenizer.decode(text), title);
  EXPECT_FALSE(tokenizer.control_token("Tea").has_value());
}

}  // namespace allreco::data
