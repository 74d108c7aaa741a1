#include "data/tokenizer/sentencepiece_cuts.h"

#include <gtest/gtest.h>
#include <sentencepiece_processor.h>

#include "core/files.h"
#include "core/random.h"
#include "data/tokenizer/tokenizer_backend.h"

namespace allreco::data {
namespace {
namespace fs = std::filesystem;

const fs::path kFixtures = fs::path(ALLRECO_SOURCE_DIR) / "tests/fixtures/tokenizer";

std::string bytes_of(const std::string& name) { return core::read_file(kFixtures / name, 1 << 24); }

/// Protobuf joins messages that come twice, so a field behind a model replaces the one within it.
std::string normalizer(bool dummy_prefix, bool remove_extra_spaces) {
  return {'\x1a', 4, '\x18', dummy_prefix, '\x20', remove_extra_spaces};
}

/// A further piece, of a score that none has: its two halves are merged before all others.
std::string piece(const std::string& text) {
  const std::string score = {'\x15', 0, 0, '\x80', '\x3f'};  // 1.0f
  const auto size = static_cast<char>(text.size());
  return std::string{'\x0a', static_cast<char>(2 + size + 5), '\x0a', size} + text + score;
}

std::string random_text(core::RandomStream& stream) {
  static const std::vector<std::string> parts = {" ", " ",  "  ",     "   ", "e",      "th",         "The",  "Tea",
                                                 "1", "\n", "\u00e9", ",",   "\u2581", "\u4e2d",     "\xff", "\t",
                                                 "e", "o",  "s",      "t",   "and",    "\U0001F375", ".",    "Z"};
  std::string text;
  for (std::uint64_t left = stream.next_below(24); left > 0; --left) text += parts[stream.next_below(parts.size())];
  return text;
}

/// Encodes random texts by the backend, which cuts them, and by the library.
void expect_the_librarys_ids(const std::string& model, bool are_proven, const std::string& name) {
  SCOPED_TRACE(name);
  EXPECT_EQ(SentencePieceCuts(model).are_proven(), are_proven);
  sentencepiece::SentencePieceProcessor library;
  ASSERT_TRUE(library.LoadFromSerializedProto(model).ok());
  const auto backend = make_sentencepiece_backend(model, name);
  core::RandomStream stream(core::key_of(name));
  for (int i = 0; i < 20'000; ++i) {
    const std::string text = random_text(stream);
    ASSERT_EQ(backend->encode(text), library.EncodeAsIds(text)) << "\"" << text << "\"";
  }
}

TEST(SentencePieceCuts, PartsHaveTheTokensOfTheWhole) {
  const std::string model = bytes_of("tok512.model");
  for (const char* name : {"tok512.model", "llama2-tokenizer.model", "mistral-7b-v0.1-tokenizer.model"})
    expect_the_librarys_ids(bytes_of(name), true, name);
  expect_the_librarys_ids(model + normalizer(true, true), true, "prefix, extra spaces go");
  expect_the_librarys_ids(model + normalizer(true, false), true, "prefix, spaces stay");
  expect_the_librarys_ids(model + normalizer(false, false), true, "no prefix, spaces stay");
  expect_the_librarys_ids(model + normalizer(false, true), false, "no prefix, extra spaces go");
}

/// "e " and "s  " as pieces: a text is not cut behind these letters.
TEST(SentencePieceCuts, NothingIsCutWhereAPieceReachesOverASpace) {
  const std::string model = bytes_of("tok512.model") + piece("e\u2581") + piece("s\u2581") + piece("s\u2581\u2581");
  expect_the_librarys_ids(model, true, "as published, joined");
  expect_the_librarys_ids(model + normalizer(true, false), true, "spaces stay, joined");
  std::vector<std::string_view> parts;
  SentencePieceCuts(model).for_each_part("the tea is hot s t", [&](std::string_view part) { parts.push_back(part); });
  EXPECT_EQ(parts, (std::vector<std::string_view>{"the tea", "is hot", "s t"}));
}

/// Sums of scores are rounded along the whole text (unigram), and other rules know more than the text before a space.
TEST(SentencePieceCuts, NothingIsProvenOfOtherModels) {
  const std::string model = bytes_of("tok512.model");
  const auto proven = [&](const std::string& fields) { return SentencePieceCuts(model + fields).are_proven(); };
  EXPECT_TRUE(proven(""));
  EXPECT_FALSE(proven({'\x12', 2, '\x18', 1})) << "unigram";
  EXPECT_FALSE(proven({'\x12', 3, '\xc0', 1, 1})) << "spaces as suffixes";
  EXPECT_FALSE(proven({'\x1a', 3, '\x12', 1, 'x'})) << "a charsmap";
  EXPECT_FALSE(proven({'\x1a', 2, '\x28', 0})) << "spaces that are not escaped";
  EXPECT_FALSE(proven("\x0a")) << "cut off";
}

}  // namespace
}  // namespace allreco::data
