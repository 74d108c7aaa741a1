// The oracle of what a sound trie is: sentencepiece itself, which maps texts with it.
#include "data/tokenizer/charsmap_check.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <vector>

#include "core/check.h"
#include "data/tokenizer/tokenizer.h"
#include "support/temporary_directory.h"

namespace allreco::data {

namespace {

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value > 127; value >>= 7) bytes += static_cast<char>((value & 127) | 128);
  return bytes + static_cast<char>(value);
}

/// A field of protobuf's wire type 2.
std::string field(int number, const std::string& bytes) {
  return varint(static_cast<std::uint64_t>(number) << 3 | 2) + varint(bytes.size()) + bytes;
}

std::string as_bytes(std::uint32_t value) { return {reinterpret_cast<const char*>(&value), sizeof(value)}; }

std::string piece(const std::string& text, char type) {
  return field(1, field(1, text) + std::string("\x15\0\0\0\0\x18", 6) + type);
}

/// A unigram model of the pieces "a" and "b", whose normaliser has this charsmap.
std::string model(const std::string& charsmap, int normalizer = 3) {
  return piece("<unk>", 2) + piece("a", 1) + piece("b", 1) + field(2, std::string("\x18\1", 2)) +
         field(normalizer, field(1, "test") + field(2, charsmap) + std::string("\x18\0\x20\0\x28\0", 6));
}

/// The array that maps "a" to the text at 0: its root leads to unit 0x60 for 'a', which has its value at 0x62.
std::vector<std::uint32_t> trie() {
  std::vector<std::uint32_t> units(256);
  units[0] = 1u << 10;
  units[0x60] = 2u << 10 | 1u << 8 | 'a';
  units[0x62] = 1u << 31;
  return units;
}

std::string charsmap(const std::vector<std::uint32_t>& units, const std::string& texts = std::string("b\0", 2)) {
  std::string bytes = as_bytes(static_cast<std::uint32_t>(units.size() * sizeof(units[0])));
  for (const std::uint32_t unit : units) bytes += as_bytes(unit);
  return bytes + texts;
}

std::vector<std::uint32_t> trie_with(size_t at, std::uint32_t unit) {
  std::vector<std::uint32_t> units = trie();
  units[at] = unit;
  return units;
}

bool is_refused(const std::string& bytes) {
  try {
    check_charsmaps(bytes, "the file");
  } catch (const core::UserError&) {
    return true;
  }
  return false;
}

}  // namespace

TEST(CharsmapCheckTest, ASoundOneDoesWhatItIsMadeFor) {
  const support::TemporaryDirectory scratch;
  const auto path = scratch.path() / "tokenizer.model";
  std::ofstream(path, std::ios::binary) << model(charsmap(trie()));
  EXPECT_EQ(Tokenizer(path).encode("a"), std::vector<TokenId>{2});
  EXPECT_FALSE(is_refused(model("")));
}

TEST(CharsmapCheckTest, RefusesWhatLeadsOutsideTheTrieOrItsTexts) {
  const std::uint32_t far = 0x1FFFFFu << 10;
  EXPECT_TRUE(is_refused(model(charsmap(trie_with(0, far)))));
  EXPECT_TRUE(is_refused(model(charsmap(trie_with(0, far | 1u << 31)))));  // the root is followed though it is a value
  EXPECT_TRUE(is_refused(model(charsmap(trie_with(0x60, far | 'a')))));
  EXPECT_TRUE(is_refused(model(charsmap(trie_with(0, 256u << 10)))));          // the first unit behind the end
  EXPECT_TRUE(is_refused(model(charsmap(trie_with(0, 1u << 10 | 1u << 9)))));  // 1 << 8 by the other form of offsets
  EXPECT_TRUE(is_refused(model(charsmap(trie_with(0x62, 1u << 31 | 2)))));     // behind the texts
  EXPECT_FALSE(is_refused(model(charsmap(trie_with(0x62, 1u << 31 | 1)))));
  EXPECT_TRUE(is_refused(model(charsmap(trie(), "b"))));  // no end of the text
  EXPECT_TRUE(is_refused(model(charsmap({}))));
  EXPECT_TRUE(is_refused(model(charsmap(std::vector<std::uint32_t>(255)))));  // children of unit 0 beyond the end
  EXPECT_TRUE(is_refused(model(charsmap(trie_with(0, far)), /*normalizer=*/5)));
}

TEST(CharsmapCheckTest, RefusesMalformedMessages) {
  const std::string whole = model(charsmap(trie()));
  EXPECT_TRUE(is_refused(whole.substr(0, whole.size() - 1)));
  EXPECT_TRUE(is_refused(whole + '\x80'));                                        // a tag without an end
  EXPECT_TRUE(is_refused(whole + varint((std::uint64_t{1} << 32) | 26) + '\0'));  // a tag that 32 bits cannot hold
  EXPECT_TRUE(is_refused(whole + field(3, "\x12\x7F")));                          // a second normaliser, cut off
}

}  // namespace allreco::data
