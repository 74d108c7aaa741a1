#include "recommend/item_index.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <chrono>

namespace allreco::recommend {
namespace {

using Ids = std::vector<std::uint32_t>;

std::vector<data::Item> catalogue() {
  return {{0, "B004LLIKVU", "Amazon.com eGift Cards", 7, {1}},
          {1, "B00PG40CO4", "Amazon Gift Card - Print & Go", 3, {1}},
          {2, "B00PG40CO5", "Amazon Gift Card - Print & Go", 9, {1}},
          {3, "0312171048", "Straße der Kaffees, 50 €", 1, {1}},
          {4, "2", "12", 0, {1}},
          {5, "B007V6EWKK", "STARBUCKS CARD", 2, {1}}};
}

Ids found(const ItemIndex& index, std::string_view text) {
  const auto items = index.find(text);
  return {items.begin(), items.end()};
}

TEST(ItemIndex, FindsAsinsThenTitlesThenIds) {
  const ItemIndex index(catalogue());
  EXPECT_EQ(found(index, "B004LLIKVU"), Ids{0});
  EXPECT_EQ(found(index, "Amazon.com eGift Cards"), Ids{0});
  EXPECT_EQ(found(index, "2"), Ids{4}) << "an asin wins over an id";
  EXPECT_EQ(found(index, "12"), Ids{4}) << "a title wins over an id";
  EXPECT_EQ(found(index, "5"), Ids{5});
  EXPECT_EQ(found(index, "0312171048"), Ids{3});
  const auto by_id = index.find(std::int64_t{2});
  EXPECT_EQ(Ids(by_id.begin(), by_id.end()), Ids{2});
}

TEST(ItemIndex, TheMostPopularOfEqualTitlesComesFirst) {
  EXPECT_EQ(found(ItemIndex(catalogue()), "Amazon Gift Card - Print & Go"), (Ids{2, 1}));
}

TEST(ItemIndex, SpellingsOfATitle) {
  const ItemIndex index(catalogue());
  EXPECT_EQ(found(index, "  amazon.COM   egift\tcards "), Ids{0});
  EXPECT_EQ(found(index, "Amazon Gift Card - Print &amp; Go"), (Ids{2, 1}));
  EXPECT_EQ(found(index, "STRASSE DER KAFFEES, 50 €"), Ids{}) << "ß is no ss: it is another spelling";
  EXPECT_EQ(found(index, "straße der kaffees, 50 €"), Ids{3});
  EXPECT_EQ(found(index, "starbucks card"), Ids{5});
}

TEST(ItemIndex, WhatIsUnknownIsNotFound) {
  const ItemIndex index(catalogue());
  for (const char* text : {"", " ", "6", "-1", "5 ", "99999999999999999999", "B004LLIKV", "\xff\xfe", "<b></b>"})
    EXPECT_EQ(found(index, text), Ids{}) << text;
  EXPECT_TRUE(index.find(std::int64_t{6}).empty());
  EXPECT_TRUE(index.find(std::int64_t{-1}).empty());
}

TEST(ItemIndex, TheNearestTitleOrAsin) {
  const ItemIndex index(catalogue());
  EXPECT_EQ(index.nearest("Amazn.com e-Gift Card"), 0u);
  EXPECT_EQ(index.nearest("B00PG40CO6"), 1u) << "two are as near: the lower id";
  EXPECT_EQ(index.nearest("starbuck"), 5u);
  EXPECT_EQ(index.nearest("zzz"), std::nullopt);
  EXPECT_EQ(index.nearest(""), std::nullopt);
  EXPECT_NO_THROW(index.nearest(std::string(1 << 16, '\xe2')));
}

TEST(ItemIndex, TheNearestOfALargeCatalogueComesSoon) {
  std::vector<data::Item> items;
  for (std::uint32_t id = 0; id < 12'000; ++id)
    items.push_back({id,
                     fmt::format("B{:09}", id),
                     fmt::format("Moisturising hand cream number {} of a long series, {} ml", id, id % 97),
                     0,
                     {1}});
  const ItemIndex index(std::move(items));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(index.nearest("moisturizing hand cream number 11931 of a long series"), 11931u);
  // 0.9 MB of text at some ns a byte, and ten times that for a machine that is busy.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(500));
}

}  // namespace
}  // namespace allreco::recommend
