#include "core/input_file.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "core/check.h"
#include "core/files.h"
#include "core/json.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::core {
namespace {

namespace fs = std::filesystem;

class InputFiles : public ::testing::Test {
 protected:
  fs::path write(const std::string& name, const std::string& bytes) const {
    std::ofstream(directory_ / name, std::ios::binary) << bytes;
    return directory_ / name;
  }
  const support::TemporaryDirectory directory_;
};

TEST_F(InputFiles, ReadsAtAnyPlaceAndNotBehindTheEnd) {
  const InputFile file(write("a", "0123456789"));
  EXPECT_EQ(file.size(), 10u);
  std::string part(4, ' ');
  file.read(6, 4, part.data());
  EXPECT_EQ(part, "6789");
  EXPECT_NE(support::message_of([&] { file.read(7, 4, part.data()); }).find("ends there"), std::string::npos);
}

TEST_F(InputFiles, WhatIsNoRegularFileIsRefusedAtOnce) {
  const fs::path fifo = directory_ / "fifo", socket = directory_ / "socket";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket.c_str(), sizeof address.sun_path - 1);
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  fs::create_symlink(fifo, directory_ / "link");
  for (const auto& [path, kind] : std::vector<std::pair<fs::path, std::string>>{{fifo, "a FIFO"},
                                                                                {"/dev/zero", "a device"},
                                                                                {directory_.path(), "a directory"},
                                                                                {socket, "a socket"},
                                                                                {directory_ / "link", "a FIFO"}}) {
    for (const std::string& text :
         {support::message_of([&] { InputFile file(path); }), support::message_of([&] { read_file(path); }),
          support::message_of([&] { sha256_of_file(path); }), support::message_of([&] { read_json_file(path); }),
          support::message_of([&] { copy_file(path, directory_ / "copy", "copy"); })}) {
      EXPECT_NE(text.find(path.string() + ": it is " + kind + ", a regular file is needed"), std::string::npos) << text;
    }
  }
  EXPECT_FALSE(fs::exists(directory_ / "copy"));
  ::close(descriptor);
  EXPECT_NE(support::message_of([&] { InputFile file(directory_ / "none"); }).find("No such file"), std::string::npos);
}

TEST_F(InputFiles, AFileLargerThanItsKindIsNotRead) {
  const fs::path path = write("a", "12345");
  EXPECT_EQ(read_file(path, 5), "12345");
  EXPECT_NE(support::message_of([&] { read_file(path, 4); }).find("has 5 bytes, and at most 4"), std::string::npos);
  const fs::path huge = write("huge.json", "{");
  fs::resize_file(huge, kLargestJsonFile + 1);  // a sparse file
  EXPECT_NE(support::message_of([&] { read_json_file(huge); }).find("at most 536870912"), std::string::npos);
}

TEST_F(InputFiles, NamesOfOtherFilesStayInTheDirectory) {
  require_plain_name("model-00001-of-00002.safetensors", "index");
  require_plain_name("..a", "index");
  for (const std::string& name : {std::string(), std::string("."), std::string(".."), std::string("../a"),
                                  std::string("/etc/passwd"), std::string("a/b"), std::string("a\0b", 3)}) {
    EXPECT_NE(support::message_of([&] { require_plain_name(name, "index"); }).find("index names the file"),
              std::string::npos);
  }
}

TEST_F(InputFiles, JsonThatNestsDeeplyIsRefusedBeforeItIsParsed) {
  const auto nested = [](size_t depth, char open, char close) {
    std::string text;
    for (size_t i = 0; i < depth; ++i) text += open == '{' ? std::string("{\"a\":") : std::string(1, open);
    return text + "1" + std::string(depth, close);
  };
  for (const auto& [open, close] : {std::pair('[', ']'), std::pair('{', '}')}) {
    EXPECT_FALSE(parse_json(nested(kMaxJsonDepth, open, close), "x").empty());
    EXPECT_NE(support::message_of([&] { parse_json(nested(kMaxJsonDepth + 1, open, close), "x"); }).find("deep"),
              std::string::npos);
  }
  EXPECT_NE(support::message_of([&] { read_json_file(write("a.json", std::string(1 << 20, '['))); }).find("a.json"),
            std::string::npos);
  EXPECT_EQ(parse_json(fmt::format("\"{}\"", std::string(1000, '[')), "x").get<std::string>().size(), 1000u);
  EXPECT_EQ(parse_json(fmt::format("\"\\\"{}\"", std::string(1000, '{')), "x").get<std::string>().size(), 1001u);
  EXPECT_EQ(parse_json("[[1],[2],[3],[4]]", "x").size(), 4u);
}

TEST_F(InputFiles, WholeNumbersNeitherWrapNorLoseAnything) {
  EXPECT_EQ(whole_number<std::int64_t>(Json::parse("-9223372036854775808")), INT64_MIN);
  EXPECT_EQ(whole_number<std::int64_t>(Json::parse("9223372036854775807")), INT64_MAX);
  EXPECT_EQ(whole_number<std::int64_t>(Json::parse("9223372036854775808")), std::nullopt);
  EXPECT_EQ(whole_number<std::uint32_t>(Json::parse("4294967295")), 4294967295u);
  EXPECT_EQ(whole_number<std::uint32_t>(Json::parse("4294967296")), std::nullopt);
  for (const char* text : {"-1", "1.0", "1e300", "\"1\"", "true", "null", "[1]"})
    EXPECT_EQ(whole_number<std::uint32_t>(Json::parse(text)), std::nullopt) << text;
}

}  // namespace
}  // namespace allreco::core
