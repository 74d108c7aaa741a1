#include "model/checkpoint/safetensors.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "core/files.h"
#include "model/golden.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::model {
namespace fs = std::filesystem;

namespace {

std::string file_with_header(const std::string& header, const std::string& data) {
  const std::uint64_t size = header.size();
  std::string bytes(reinterpret_cast<const char*>(&size), sizeof(size));
  return bytes + header + data;
}

/// Opens these bytes as a file and reads every value, so that a wrong offset meets the sanitizer or the end of the
/// mapping.
void read_all(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;  // without the fsync of write_file_atomically: thousands of files
  const SafetensorsFile file(path);
  for (const std::string& name : file.names()) {
    const at::Tensor tensor = file.tensor(name);
    volatile unsigned char sum = 0;
    const auto* data = static_cast<const unsigned char*>(tensor.const_data_ptr());
    for (size_t i = 0; i < tensor.nbytes(); ++i) sum = static_cast<unsigned char>(sum + data[i]);
  }
}

}  // namespace

TEST(Safetensors, ReadsEveryDtypeThatTheLibraryWrote) {
  const SafetensorsFile file(testing::fixture("safetensors/all_dtypes.safetensors"));
  EXPECT_EQ(file.names().size(), 13u);
  EXPECT_EQ(file.metadata().dump(), R"({"format":"pt"})");
  const std::map<std::string, at::ScalarType> dtypes{
      {"z_i64", at::kLong}, {"f64", at::kDouble}, {"f32", at::kFloat}, {"i32", at::kInt}, {"bf16", at::kBFloat16},
      {"f16", at::kHalf},   {"i16", at::kShort},  {"i8", at::kChar},   {"u8", at::kByte}, {"a_bool", at::kBool}};
  const at::Tensor counting = at::arange(15).reshape({3, 5});
  for (const auto& [name, dtype] : dtypes) {
    const at::Tensor expected = dtype == at::kBool ? counting.remainder(2) : counting;
    EXPECT_TRUE(at::equal(file.tensor(name), expected.to(dtype))) << name;
  }
  EXPECT_EQ(file.tensor("empty").sizes(), (std::vector<std::int64_t>{0, 4}));
  EXPECT_EQ(file.tensor("scalar").dim(), 0);
  EXPECT_EQ(file.tensor("n\u00e4me \"quoted\"\n")[1].item<float>(), 1);
  EXPECT_NE(support::message_of([&] { file.tensor("nothing"); }).find("nothing"), std::string::npos);
}

TEST(Safetensors, WritesTheLibrarysBytes) {
  const support::TemporaryDirectory directory;
  for (const fs::path& source : {testing::fixture("safetensors/all_dtypes.safetensors"),
                                 testing::golden("lora-grad/all7/adapter/adapter_model.safetensors"),
                                 testing::golden("llama-tiny/model.safetensors")}) {
    const SafetensorsFile file(source);
    std::vector<NamedTensor> tensors;
    for (const std::string& name : file.names()) tensors.insert(tensors.begin(), {name, file.tensor(name)});
    write_safetensors(directory / "copy", tensors);
    EXPECT_TRUE(core::read_file(directory / "copy") == core::read_file(source)) << source;
  }
  write_safetensors(directory / "meta", {{"a", at::zeros({2})}}, {{"step", "7"}});
  EXPECT_EQ(SafetensorsFile(directory / "meta").metadata().dump(), R"({"format":"pt","step":"7"})");
  EXPECT_THROW(write_safetensors(directory / "x", {{"a", at::zeros({2, 3}).t()}}), core::Fault);
  EXPECT_THROW(write_safetensors(directory / "x", {{"a", at::zeros({2})}, {"a", at::zeros({2})}}), core::Fault);
  EXPECT_FALSE(fs::exists(directory / "x"));
}

TEST(Safetensors, TensorsKeepTheMappingAliveAndMisalignedOnesAreCopied) {
  const support::TemporaryDirectory directory;
  write_safetensors(directory / "a", {{"x", at::arange(1000, at::kFloat)}});
  at::Tensor view;
  {
    const SafetensorsFile file(directory / "a");
    view = file.tensor("x");
    EXPECT_EQ(view.const_data_ptr(), file.tensor("x").const_data_ptr());
  }
  fs::remove(directory / "a");
  EXPECT_TRUE(at::equal(view, at::arange(1000, at::kFloat)));

  // A header of 8n+1 bytes puts all data at odd addresses.
  std::string header = R"({"x":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}})";
  header.append(9 - header.size() % 8, ' ');
  const float values[3] = {1.5f, -2, 1e-30f};
  core::write_file_atomically(
      directory / "odd", file_with_header(header, std::string(reinterpret_cast<const char*>(values), sizeof(values))));
  const at::Tensor odd = SafetensorsFile(directory / "odd").tensor("x");
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(odd.const_data_ptr()) % alignof(float), 0u);
  EXPECT_EQ(std::memcmp(odd.const_data_ptr(), values, sizeof(values)), 0);
}

TEST(Safetensors, LyingHeadersAreNamed) {
  const support::TemporaryDirectory directory;
  const std::string data(24, '\1');
  const auto one = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"({"good":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"bad":{"dtype":")" + dtype + R"(","shape":)" +
           shape + R"(,"data_offsets":)" + offsets + "}}";
  };
  read_all(directory / "f", file_with_header(one("F32", "[3]", "[12,24]"), data));  // the template itself is sound
  const std::vector<std::pair<std::string, std::string>> lies{
      {one("F32", "[3]", "[12,28]"), "bad"},
      {one("F32", "[3]", "[24,12]"), "bad"},
      {one("F32", "[3]", "[12,18446744073709551615]"), "bad"},
      {one("F32", "[3]", "[-12,24]"), "bad"},
      {one("F32", "[3]", "[12]"), "bad"},
      {one("F32", "[3]", "{\"a\":1,\"b\":2}"), "bad"},
      {one("F32", "[4]", "[12,24]"), "bad: shape [4]"},
      {one("F32", "[-3]", "[12,24]"), "bad"},
      {one("F32", "[9223372036854775808]", "[12,24]"), "bad"},
      {one("F32", "[4294967296,4294967296,4]", "[12,24]"), "bad"},  // the product overflows to 0
      {one("F32", "3", "[12,24]"), "bad"},
      {one("F8_E4M3", "[12]", "[12,24]"), "F8_E4M3"},
      {one("F32", "[3]", "[8,20]"), "overlaps"},
      {one("F32", "[2]", "[16,24]"), "hole"},
      {one("F32", "[2]", "[12,20]"), "after the last tensor"},
      {R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"a":{"dtype":"F32","shape":[3],"data_offsets":[12,24]}})",
       "twice"},
      {R"({"a":{"shape":[6],"data_offsets":[0,24]}})", "dtype"},
      {R"({"a":7})", "a"},
      {R"([1,2])", "JSON object"},
      {R"({"a":)", "JSON"},
      {"{\"\xff\":1}", "JSON"},
      {std::string(1 << 20, '['), "nests too deeply"},
      {"{\"a\":" + std::string(1000, '[') + "}", "nests too deeply"},
      {R"({"__metadata__":[1]})", "__metadata__"},
  };
  for (const auto& [header, expected] : lies) {
    const std::string message =
        support::message_of([&, h = header] { read_all(directory / "f", file_with_header(h, data)); });
    EXPECT_NE(message.find(expected), std::string::npos) << header << " gave: " << message;
    EXPECT_NE(message.find((directory / "f").string()), std::string::npos) << message;
  }
  EXPECT_THROW(SafetensorsFile(directory.path()), core::UserError);
  EXPECT_THROW(SafetensorsFile(directory / "missing"), core::UserError);
}

// Whatever happens to a file, opening and reading it ends in a UserError or in values from inside the file.
TEST(Safetensors, DamagedFilesNeverCrash) {
  const support::TemporaryDirectory directory;
  const std::string sound = core::read_file(testing::fixture("safetensors/all_dtypes.safetensors"));
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, sound.data(), sizeof(header_size));
  int refused = 0, accepted = 0;
  const auto attempt = [&](const std::string& bytes) {
    try {
      read_all(directory / "f", bytes);
      ++accepted;
    } catch (const core::UserError& e) {
      EXPECT_NE(std::string(e.what()).find((directory / "f").string()), std::string::npos) << e.what();
      ++refused;
    }
  };
  for (size_t length = 0; length < sound.size(); ++length) attempt(sound.substr(0, length));
  EXPECT_EQ(accepted, 0) << "a truncated file was accepted";
  for (size_t i = 0; i < sizeof(header_size) + header_size; ++i) {
    for (const int mask : {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff}) {
      std::string bytes = sound;
      bytes[i] = static_cast<char>(bytes[i] ^ mask);
      attempt(bytes);
    }
  }
  EXPECT_GT(refused, 1000);
  EXPECT_GT(accepted, 100);  // a changed letter of a name is no damage one could see
}

TEST(Checkpoint, ReadsShardsAndChecksTheirIndex) {
  const fs::path source = testing::golden("stories260k/hf-bf16-sharded");
  const Checkpoint checkpoint(source);
  EXPECT_EQ(checkpoint.names().size(), 47u);
  EXPECT_EQ(checkpoint.file_of("model.norm.weight").filename(), "model-00002-of-00002.safetensors");
  EXPECT_EQ(checkpoint.tensor("model.embed_tokens.weight").scalar_type(), at::kBFloat16);
  EXPECT_THROW(checkpoint.tensor("nothing"), core::UserError);

  const support::TemporaryDirectory directory;
  EXPECT_NE(support::message_of([&] { Checkpoint empty(directory.path()); }).find("model.safetensors"),
            std::string::npos);
  fs::copy(source, directory.path(), fs::copy_options::recursive);
  core::Json index = core::read_json_file(source / "model.safetensors.index.json");
  const auto with_index = [&](const core::Json& changed) {
    core::write_json_file(directory / "model.safetensors.index.json", changed);
    return support::message_of([&] { Checkpoint broken(directory.path()); });
  };
  core::Json moved = index, absent = index, no_file = index, number = index;
  moved["weight_map"]["model.norm.weight"] = "model-00001-of-00002.safetensors";
  EXPECT_NE(with_index(moved).find("model.norm.weight"), std::string::npos);
  absent["weight_map"]["model.other.weight"] = "model-00001-of-00002.safetensors";
  EXPECT_NE(with_index(absent).find("model.other.weight"), std::string::npos);
  no_file["weight_map"]["model.norm.weight"] = "model-00003-of-00002.safetensors";
  EXPECT_NE(with_index(no_file).find("model-00003"), std::string::npos);
  for (const char* outside : {"../model-00001-of-00002.safetensors", "/etc/passwd", "..", "sub/a.safetensors", ""}) {
    core::Json leading_out = index;
    leading_out["weight_map"]["model.norm.weight"] = outside;
    EXPECT_NE(with_index(leading_out).find("expected the name of a file in the same directory"), std::string::npos);
  }
  number["weight_map"]["model.norm.weight"] = 3;
  EXPECT_NE(with_index(number).find("model.norm.weight"), std::string::npos);
  EXPECT_NE(with_index(core::Json::array()).find("weight_map"), std::string::npos);

  core::write_json_file(directory / "model.safetensors.index.json", index);
  fs::copy(directory / "model-00001-of-00002.safetensors", directory / "model-00002-of-00002.safetensors",
           fs::copy_options::overwrite_existing);
  EXPECT_NE(support::message_of([&] { Checkpoint twice(directory.path()); }).find("both hold"), std::string::npos);
}

}  // namespace allreco::model
