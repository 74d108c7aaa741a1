// What Hdf5Reader takes from files that an outside program wrote: exactly what Hdf5Writer writes, and nothing else.
#include "data/store/hdf5_file.h"

#include <gtest/gtest.h>
#include <hdf5.h>

#include <array>
#include <cstring>
#include <fstream>
#include <functional>

#include "data/store/dataset_samples.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::data {
namespace {

namespace fs = std::filesystem;

/// The HDF5 library as any program may use it. Ids are closed with the file.
class ForeignFile {
 public:
  explicit ForeignFile(const fs::path& path) {
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    file_ = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Pclose(access);
  }
  ~ForeignFile() { EXPECT_GE(H5Fclose(file_), 0); }
  ForeignFile(const ForeignFile&) = delete;
  ForeignFile& operator=(const ForeignFile&) = delete;
  hid_t id() const { return file_; }

  void attribute(const std::string& name, hid_t type, hid_t space, const void* value) const {
    const hid_t attribute = H5Acreate2(file_, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT);
    ASSERT_GE(attribute, 0) << name;
    if (value == nullptr) return;
    ASSERT_GE(H5Awrite(attribute, type, value), 0) << name;
  }
  void array(hid_t type, hid_t space, hid_t creation, const void* value = nullptr) const {
    const hid_t array = H5Dcreate2(file_, "tokens", type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    ASSERT_GE(array, 0);
    if (value == nullptr) return;
    ASSERT_GE(H5Dwrite(array, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, value), 0);
  }

 private:
  hid_t file_;
};

hid_t simple(std::vector<hsize_t> shape) {
  return H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr);
}

hid_t fixed_string(size_t size) {
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, size);
  return type;
}

class Hdf5Files : public ::testing::Test {
 protected:
  fs::path path() const { return scratch_.path() / "a.h5"; }
  void expect_refused(const std::function<void(const Hdf5Reader&)>& read, const std::string& why) const {
    const std::string message = support::message_of([&] { read(Hdf5Reader(path())); });
    EXPECT_TRUE(contains(message, why) && contains(message, path().string())) << message;
  }
  void expect_tokens_refused(const std::string& why) const {
    expect_refused([](const Hdf5Reader& file) { file.place_of("tokens"); }, why);
  }
  support::TemporaryDirectory scratch_;
  std::array<std::uint16_t, 8> values_{1, 2, 3, 4, 5, 6, 7, 8};
};

// Reading such an attribute into one element writes over whatever lies behind it on the stack.
TEST_F(Hdf5Files, AttributesThatAreArraysAreRefused) {
  const std::vector<std::string> numbers{"version", "vocab_size", "complete"}, texts{"format", "tokenizer_sha256"};
  for (hsize_t length = 1; length <= 64; ++length) {
    const std::vector<std::int64_t> many(length, 1);
    const std::string bytes(length * 14, 'x');
    {
      const ForeignFile file(path());
      for (const auto& name : numbers) file.attribute(name, H5T_STD_I64LE, simple({length}), many.data());
      for (const auto& name : texts) file.attribute(name, fixed_string(14), simple({length}), bytes.data());
    }
    for (const auto& name : numbers)
      expect_refused([&](const Hdf5Reader& file) { file.int_attribute(name); }, name + " of ");
    for (const auto& name : numbers)
      expect_refused([&](const Hdf5Reader& file) { file.int_attribute(name); }, "is not one int64");
    for (const auto& name : texts)
      expect_refused([&](const Hdf5Reader& file) { file.string_attribute(name); }, "is not one string of fixed size");
  }
}

TEST_F(Hdf5Files, NumbersOfOtherTypesAreRefused) {
  const std::array<std::int64_t, 4> bytes{1, 2, 3, 4};
  const hsize_t four = 4;
  const hid_t packed = H5Tarray_create2(H5T_STD_I64LE, 1, &four);
  const hid_t compound = H5Tcreate(H5T_COMPOUND, 16);
  H5Tinsert(compound, "a", 0, H5T_STD_I64LE);
  H5Tinsert(compound, "b", 8, H5T_STD_I64LE);
  for (const hid_t type : {H5T_STD_U64LE, H5T_STD_I64BE, H5T_STD_I32LE, H5T_STD_I8LE, H5T_IEEE_F64LE, H5T_IEEE_F32LE,
                           fixed_string(8), packed, compound}) {
    { ForeignFile(path()).attribute("version", type, H5Screate(H5S_SCALAR), bytes.data()); }
    expect_refused([](const Hdf5Reader& file) { file.int_attribute("version"); }, "is not one int64");
  }
  { ForeignFile(path()).attribute("version", H5T_STD_I64LE, H5Screate(H5S_NULL), nullptr); }
  expect_refused([](const Hdf5Reader& file) { file.int_attribute("version"); }, "is not one int64");
  { ForeignFile(path()).attribute("version", H5T_STD_I64LE, H5Screate(H5S_SCALAR), bytes.data()); }
  EXPECT_EQ(Hdf5Reader(path()).int_attribute("version"), 1);
  expect_refused([](const Hdf5Reader& file) { file.int_attribute("none"); }, "attribute none");
}

TEST_F(Hdf5Files, StringsOfOtherKindsAreRefused) {
  const auto read = [](const Hdf5Reader& file) { file.string_attribute("format"); };
  const hid_t variable = H5Tcopy(H5T_C_S1);
  H5Tset_size(variable, H5T_VARIABLE);
  const char* text = "allreco-shard";
  { ForeignFile(path()).attribute("format", variable, H5Screate(H5S_SCALAR), &text); }
  expect_refused(read, "is not one string of fixed size");
  const std::int64_t number = 1;
  { ForeignFile(path()).attribute("format", H5T_STD_I64LE, H5Screate(H5S_SCALAR), &number); }
  expect_refused(read, "is not one string of fixed size");
  { ForeignFile(path()).attribute("format", fixed_string(8), H5Screate(H5S_NULL), nullptr); }
  expect_refused(read, "is not one string of fixed size");
  const std::string bytes(4097, 'x');
  { ForeignFile(path()).attribute("format", fixed_string(4097), H5Screate(H5S_SCALAR), bytes.data()); }
  expect_refused(read, "has 4097 bytes, more than 4096");
  { ForeignFile(path()).attribute("format", fixed_string(4096), H5Screate(H5S_SCALAR), bytes.data()); }
  EXPECT_EQ(Hdf5Reader(path()).string_attribute("format"), bytes.substr(0, 4096)) << "without a final zero";
}

TEST_F(Hdf5Files, TakesWhatLiesContiguouslyInTheFile) {
  { ForeignFile(path()).array(H5T_STD_U16LE, simple({2, 4}), H5P_DEFAULT, values_.data()); }
  const ArrayPlace place = Hdf5Reader(path()).place_of("tokens");
  EXPECT_EQ(place.shape, (std::vector<std::uint64_t>{2, 4}));
  EXPECT_EQ(place.type, ElementType::uint16);
  std::string bytes(sizeof values_, ' ');
  core::InputFile(path()).read(place.first_byte, bytes.size(), bytes.data());
  EXPECT_EQ(std::memcmp(bytes.data(), values_.data(), bytes.size()), 0);
}

TEST_F(Hdf5Files, LinksAreNotFollowed) {
  const fs::path other = scratch_.path() / "other.h5";
  { ForeignFile(other).array(H5T_STD_U16LE, simple({8}), H5P_DEFAULT, values_.data()); }
  { ASSERT_GE(H5Lcreate_external(other.c_str(), "/tokens", ForeignFile(path()).id(), "tokens", 0, 0), 0); }
  EXPECT_TRUE(Hdf5Reader(path()).has_array("tokens"));
  expect_tokens_refused("is a link to another place");
  {
    const ForeignFile file(path());
    H5Dcreate2(file.id(), "real", H5T_STD_U16LE, simple({8}), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    ASSERT_GE(H5Lcreate_soft("/real", file.id(), "tokens", 0, 0), 0);
  }
  expect_tokens_refused("is a link to another place");
}

TEST_F(Hdf5Files, DataOfOtherFilesIsRefused) {
  const fs::path secret = scratch_.path() / "secret";
  std::ofstream(secret) << std::string(64, 's');
  const hid_t external = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_external(external, secret.c_str(), 0, 16);
  { ForeignFile(path()).array(H5T_STD_U16LE, simple({8}), external); }
  expect_tokens_refused("keeps its data in other files");

  const fs::path other = scratch_.path() / "other.h5";
  { ForeignFile(other).array(H5T_STD_U16LE, simple({8}), H5P_DEFAULT, values_.data()); }
  const hid_t virtual_layout = H5Pcreate(H5P_DATASET_CREATE);
  const hid_t space = simple({8});
  ASSERT_GE(H5Pset_virtual(virtual_layout, space, other.c_str(), "/tokens", space), 0);
  { ForeignFile(path()).array(H5T_STD_U16LE, space, virtual_layout); }
  expect_tokens_refused("is not contiguous");
}

TEST_F(Hdf5Files, OtherLayoutsAreRefused) {
  const hsize_t chunk = 4;
  const hid_t deflated = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_chunk(deflated, 1, &chunk);
  ASSERT_GE(H5Pset_deflate(deflated, 6), 0);
  { ForeignFile(path()).array(H5T_STD_U16LE, simple({8}), deflated, values_.data()); }
  expect_tokens_refused("is not contiguous");  // filters need chunks
  const hid_t compact = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_layout(compact, H5D_COMPACT);
  { ForeignFile(path()).array(H5T_STD_U16LE, simple({8}), compact, values_.data()); }
  expect_tokens_refused("is not contiguous");
}

TEST_F(Hdf5Files, OtherTypesAndShapesAreRefused) {
  const hid_t opaque = H5Tcreate(H5T_OPAQUE, 2);
  for (const hid_t type : {H5T_STD_U16BE, H5T_STD_U32BE, H5T_STD_I64BE, H5T_STD_I16LE, H5T_STD_I32LE, H5T_IEEE_F32LE,
                           H5T_IEEE_F64LE, fixed_string(2), opaque}) {
    { ForeignFile(path()).array(type, simple({8}), H5P_DEFAULT); }
    expect_tokens_refused("has an element type that no dataset uses");
  }
  for (const hid_t space : {simple({2, 2, 2}), H5Screate(H5S_SCALAR), H5Screate(H5S_NULL)}) {
    { ForeignFile(path()).array(H5T_STD_U16LE, space, H5P_DEFAULT); }
    expect_tokens_refused("is no array of one or two dimensions");
  }
  { H5Gcreate2(ForeignFile(path()).id(), "tokens", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT); }
  expect_tokens_refused("/tokens");
  { ForeignFile(path()).array(H5T_STD_U16LE, simple({8}), H5P_DEFAULT); }
  expect_tokens_refused("has no data in the file");  // never written, so without a place
}

// The extent in the object's header is larger than the file: every byte of the header is tried as the one that says so.
TEST_F(Hdf5Files, ExtentsBeyondTheFileAreRefused) {
  { ForeignFile(path()).array(H5T_STD_U16LE, simple({8}), H5P_DEFAULT, values_.data()); }
  const std::string whole = core::read_file(path());
  int num_refused = 0;
  for (size_t place = 0; place < whole.size(); ++place) {
    std::string damaged = whole;
    damaged[place] = '\x7f';
    overwrite(path(), damaged);
    const std::string message = support::message_of([&] {
      const ArrayPlace found = Hdf5Reader(path()).place_of("tokens");
      std::uint64_t elements = 1;
      for (const std::uint64_t extent : found.shape) elements *= extent;
      EXPECT_LE(found.first_byte + elements * size_of(found.type), whole.size()) << place;
    });
    num_refused += contains(message, "is larger than its file") || contains(message, "has no data in the file") ? 1 : 0;
  }
  EXPECT_GT(num_refused, 8) << "the bytes above the lowest of extent and address";
}

TEST_F(Hdf5Files, WhatIsNoFileIsRefused) {
  EXPECT_TRUE(contains(support::message_of([] { Hdf5Reader file("/dev/zero"); }), "a device"));
  EXPECT_TRUE(contains(support::message_of([&] { Hdf5Reader file(scratch_.path()); }), "a directory"));
}

}  // namespace
}  // namespace allreco::data
