#include "recommend/address.h"

#include <gtest/gtest.h>

#include "core/check.h"

namespace allreco::recommend {
namespace {

TEST(Address, IsHostAndPort) {
  const auto parsed = [](const std::string& text) { return to_string(parse_address(text)); };
  for (const char* text : {"127.0.0.1:8080", "localhost:0", "[::1]:65535", "shop.example:80"})
    EXPECT_EQ(parsed(text), text);
  EXPECT_EQ(parse_address("[::1]:80").host, "::1");
  for (const char* text : {"", ":", "8080", ":8080", "localhost", "localhost:", "localhost:x", "a:-1", "a:65536",
                           "a:80 ", "::1:80", "[]:80"})
    EXPECT_THROW(parse_address(text), core::UserError) << text;
}

TEST(Address, KnowsWhatStaysOnThisMachine) {
  for (const char* text : {"127.0.0.1:1", "127.9.9.9:1", "localhost:1", "[::1]:1"})
    EXPECT_TRUE(parse_address(text).is_loopback()) << text;
  for (const char* text : {"0.0.0.0:1", "10.0.0.1:1", "[::]:1", "shop.example:1"})
    EXPECT_FALSE(parse_address(text).is_loopback()) << text;
}

}  // namespace
}  // namespace allreco::recommend
