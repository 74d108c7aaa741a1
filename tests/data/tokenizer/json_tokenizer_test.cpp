// The oracle is the `tokenizers` library 0.23.3: its ids and texts for nine pipelines (tests/fixtures/tokenizer-json),
// and its classes of characters.
#include "data/tokenizer/json_tokenizer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "core/check.h"
#include "core/files.h"
#include "core/json.h"
#include "data/tokenizer/pattern.h"
#include "data/tokenizer/unicode.h"
#include "support/message_of.h"

namespace allreco::data {

namespace {
namespace fs = std::filesystem;
using core::Json;
using Options = JsonTokenizer::Options;

const fs::path kFixtures = fs::path(ALLRECO_SOURCE_DIR) / "tests/fixtures/tokenizer-json";

JsonTokenizer open_fixture(const std::string& name) {
  const fs::path file = kFixtures / name / "tokenizer.json";
  return JsonTokenizer(core::read_file(file), file.string());
}

std::vector<Json> rows_of(const fs::path& file) {
  std::vector<Json> rows;
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) rows.push_back(Json::parse(line));
  return rows;
}

/// A tiny byte-level tokenizer, to be spoilt.
Fields tiny() {
  return Fields::parse(R"({"added_tokens": [{"id": 4, "content": "<end>", "single_word": false, "lstrip": false,
    "rstrip": false, "normalized": false, "special": true}],
    "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "aba": 3}, "merges": ["a b", ["ab", "a"]]}})");
}

std::string error_of(const std::string& bytes) {
  return support::message_of([&] { const JsonTokenizer tokenizer(bytes, "t.json"); });
}

std::string error_bytes(const char* pointer, const Fields& value) {
  Fields file = tiny();
  file[Fields::json_pointer(pointer)] = value;
  return file.dump();
}

std::string error_with(const char* pointer, const Fields& value) { return error_of(error_bytes(pointer, value)); }

void expect_error(const char* pointer, const Fields& value, const std::string& part) {
  const std::string error = error_with(pointer, value);
  EXPECT_NE(error.find(part), std::string::npos) << pointer << " = " << value << ": " << error;
}

}  // namespace

class Pipeline : public testing::TestWithParam<const char*> {};

TEST_P(Pipeline, GivesTheLibrarysIds) {
  const JsonTokenizer tokenizer = open_fixture(GetParam());
  const std::vector<Json> rows = rows_of(kFixtures / GetParam() / "cases.jsonl");
  EXPECT_EQ(rows.size(), 477u);
  for (const Json& row : rows) {
    const Options options{row.at("add_special_tokens"), row.value("encode_special_tokens", false)};
    EXPECT_EQ(tokenizer.encode(row.at("text").get<std::string>(), options), row.at("ids").get<std::vector<TokenId>>())
        << row;
  }
}

TEST_P(Pipeline, GivesTheLibrarysTexts) {
  const JsonTokenizer tokenizer = open_fixture(GetParam());
  const std::vector<Json> rows = rows_of(kFixtures / GetParam() / "decode.jsonl");
  EXPECT_GT(rows.size(), 100u);
  for (const Json& row : rows)
    EXPECT_EQ(tokenizer.decode(row.at("ids"), row.at("skip_special_tokens")), row.at("text").get<std::string>()) << row;
}

INSTANTIATE_TEST_SUITE_P(JsonTokenizer, Pipeline,
                         testing::Values("gpt2", "llama3", "qwen2", "smollm2", "gemma3", "tekken", "llama2-legacy",
                                         "llama2-metaspace", "llama2-metaspace-split"));

TEST(JsonTokenizer, TakesLittleTimeForAWordOfFiftyThousandCharacters) {
  for (const char* name : {"gemma3", "qwen2", "llama2-legacy"}) {
    const JsonTokenizer tokenizer = open_fixture(name);
    std::string word;
    for (int i = 0; i < 50'000; ++i) word += static_cast<char>('a' + i * i % 23 % 7);
    const auto start = std::chrono::steady_clock::now();
    const std::vector<TokenId> ids = tokenizer.encode(word, {});
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    EXPECT_EQ(tokenizer.decode(ids, true), word);
    EXPECT_LT(seconds.count(), 5) << name;  // quadratic: 1.25e9 steps and more, for each of the merges' looks-up
  }
}

TEST(JsonTokenizer, MayBeUsedFromManyThreads) {
  const JsonTokenizer tokenizer = open_fixture("llama3");
  const std::vector<Json> rows = rows_of(kFixtures / "llama3" / "cases.jsonl");
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  for (int& count : wrong) {
    threads.emplace_back([&] {
      for (const Json& row : rows) {
        const Options options{row.at("add_special_tokens"), row.value("encode_special_tokens", false)};
        count += tokenizer.encode(row.at("text").get<std::string>(), options) != row.at("ids") ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

TEST(JsonTokenizer, TakesBytesThatAreNoUtf8ForReplacementCharacters) {
  const JsonTokenizer tokenizer = open_fixture("qwen2");
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("a\xE2\x96z\xFF", {}), true), "a\uFFFDz\uFFFD");
}

TEST(JsonTokenizer, ReadsTheTinyFile) {
  const JsonTokenizer tokenizer(tiny().dump(), "t.json");
  EXPECT_EQ(tokenizer.encode("ababa<end>", {.special_tokens_as_text = false}), (std::vector<TokenId>{2, 3, 4}));
}

TEST(JsonTokenizer, RefusesByNameWhatItDoesNotSupport) {
  for (const char* type : {"BertNormalizer", "StripAccents", "Nmt", "Precompiled"})
    expect_error("/normalizer", {{"type", type}}, type);
  for (const char* type : {"BertPreTokenizer", "Whitespace", "UnicodeScripts"})
    expect_error("/pre_tokenizer", {{"type", type}}, type);
  for (const char* type : {"BertProcessing", "RobertaProcessing"})
    expect_error("/post_processor", {{"type", type}}, type);
  for (const char* type : {"WordPiece", "BPEDecoder", "CTC"}) expect_error("/decoder", {{"type", type}}, type);
  for (const char* type : {"WordPiece", "Unigram", "WordLevel"}) expect_error("/model/type", type, type);
  expect_error("/model/dropout", 0.1, "dropout");
  expect_error("/model/continuing_subword_prefix", "##", "continuing_subword_prefix");
  expect_error("/model/end_of_word_suffix", "</w>", "end_of_word_suffix");
  for (const char* regex : {"\\w+", "[a&&b]", "\\X", "(?m)a", "x{2}+", "[[:alpha:]]", "(?i)ss", "(*ACCEPT)", "(a"}) {
    const Fields split = {
        {"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}, {"invert", false}};
    expect_error("/pre_tokenizer", split, "regular expression");
  }
}

TEST(JsonTokenizer, RefusesHostileFiles) {
  EXPECT_NE(error_of("").find("not JSON"), std::string::npos);
  EXPECT_NE(error_of("{").find("not JSON"), std::string::npos);
  EXPECT_NE(error_of("[]").find("object"), std::string::npos);
  EXPECT_NE(error_of("{}").find("\"model\" is missing"), std::string::npos);
  for (const char* pointer : {"/model", "/model/vocab/a", "/model/merges", "/model/dropout", "/added_tokens/0/id"}) {
    std::string bytes = error_bytes(pointer, "DEEP");
    const size_t at = bytes.find("\"DEEP\"");
    ASSERT_NE(at, std::string::npos);
    bytes.replace(at, 6, std::string(300'000, '[') + std::string(300'000, ']'));  // writing it out would recurse
    EXPECT_NE(error_of(bytes).find("more than 100 deep"), std::string::npos) << pointer;
  }
  expect_error("/model", Fields::object(), "missing");
  expect_error("/model/vocab", Fields::object(), "0 tokens");
  expect_error("/model/vocab/a", 7, "each once");
  expect_error("/model/vocab/a", 1, "each once");
  expect_error("/model/vocab/a", -1, "each once");
  expect_error("/model/vocab/a", "0", "each once");
  expect_error("/model/vocab/a", 1e300, "each once");
  expect_error("/model/merges", Fields::parse(R"(["a c"])"), "\"c\", which is not in the vocabulary");
  expect_error("/model/merges", Fields::parse(R"(["b b"])"), "\"bb\", which is not in the vocabulary");
  expect_error("/model/merges", Fields::parse(R"([["a", 3]])"), "two pieces");
  expect_error("/model/merges", Fields::parse(R"(["a b a"])"), "two pieces");
  expect_error("/model/unk_token", "<unk>", "not in the vocabulary");
  expect_error("/added_tokens/0/id", 5, "next free");
  expect_error("/added_tokens/0/content", "a", "that in the vocabulary");
  expect_error("/added_tokens/0/content", "", "0 bytes");
  expect_error("/added_tokens/1", tiny()["added_tokens"][0], "next free");
  expect_error("/added_tokens/0/special", "yes", "true or false");
  Fields nested = {{"type", "NFC"}};
  for (int i = 0; i < 20; ++i) nested = {{"type", "Sequence"}, {"normalizers", Fields::array({nested})}};
  expect_error("/normalizer", nested, "deeper");
  expect_error("/post_processor", Fields::parse(R"({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}},
    {"SpecialToken": {"id": "x"}}], "special_tokens": {"x": {"ids": [99]}}})"),
               "not in the vocabulary");
}

// Each step may double its text, so a few dozen of them would fill any memory.
TEST(JsonTokenizer, AFewStepsCannotAskForAnyAmountOfMemory) {
  const auto error_in_use = [](const char* pointer, const Fields& value) -> std::string {
    const JsonTokenizer tokenizer(error_bytes(pointer, value), "t.json");
    std::string text;
    for (int i = 0; i < 1000; ++i) text += "ab\u00e9";
    return support::message_of([&] { tokenizer.decode(tokenizer.encode(text, {}), false); });
  };
  const auto times = [](int count, const Fields& step, const char* key) {
    return Fields{{"type", "Sequence"}, {key, Fields(std::vector<Fields>(static_cast<size_t>(count), step))}};
  };
  const auto replace = [](const char* what, const std::string& by) {
    return Fields{{"type", "Replace"}, {"pattern", {{"String", what}}}, {"content", by}};
  };
  const Fields bytes{{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}};
  const Fields everywhere{
      {"type", "Replace"}, {"pattern", {{"Regex", "(?:)"}}}, {"content", std::string(100'000, 'a')}};
  EXPECT_EQ(error_in_use("/normalizer", times(4, replace("a", "aa"), "normalizers")), "");
  for (const auto& [pointer, value] : std::vector<std::pair<const char*, Fields>>{
           {"/normalizer", times(40, replace("a", "aa"), "normalizers")},
           {"/normalizer", everywhere},
           {"/normalizer", {{"type", "Prepend"}, {"prepend", std::string(1 << 20, 'a')}}},
           {"/pre_tokenizer", times(40, bytes, "pretokenizers")},
           {"/decoder", times(40, replace("a", "aa"), "decoders")},
           {"/decoder", replace("a", std::string(1 << 20, 'a'))}}) {
    const std::string message = error_in_use(pointer, value);
    EXPECT_TRUE(message.starts_with(std::string("t.json: ") + (pointer + 1) + " makes ")) << pointer << ": " << message;
  }
  EXPECT_NE(error_with("/normalizer", times(65, replace("a", "b"), "normalizers")).find("65 entries; at most 64"),
            std::string::npos);
}

// The library's own classes (unicode_classes.json), for every character.
TEST(JsonTokenizer, KnowsTheLibrarysClassesOfCharacters) {
  const Json classes = core::read_json_file(kFixtures / "unicode_classes.json");
  std::string all;
  for (char32_t c = 1; c < 0x110000; ++c) {
    if (c < 0xD800 || c > 0xDFFF) append_utf8(c, all);
  }
  for (const char* name : {"L", "N", "M", "Lu", "Ll", "Lt", "Lm", "Lo", "s"}) {
    const std::string pattern = std::string(name) == "s" ? "\\s+" : fmt::format("\\p{{{}}}+", name);
    std::vector<Pattern::Span> matches;
    Pattern::regex(pattern, "test").find(all, matches);
    Json ranges = Json::array();
    for (const Pattern::Span& match : matches) {
      const std::string_view text = std::string_view(all).substr(match.begin, match.end - match.begin);
      ranges.push_back({static_cast<std::uint32_t>(code_point_of(character_at(text, 0))),
                        static_cast<std::uint32_t>(code_point_of(character_before(text, text.size())))});
    }
    EXPECT_TRUE(ranges == classes.at(name)) << name;  // not EXPECT_EQ, which would print thousands of them
  }
  size_t num_digits = 0, num_expected = 0;
  for (char32_t c = 0; c < 0x110000; ++c) num_digits += is_numeric(c) ? 1 : 0;
  for (const Json& range : classes.at("Digits")) {
    for (auto c = range[0].get<std::uint32_t>(); c <= range[1].get<std::uint32_t>(); ++c, ++num_expected)
      EXPECT_TRUE(is_numeric(c)) << c;
  }
  EXPECT_EQ(num_digits, num_expected);
}

}  // namespace allreco::data
