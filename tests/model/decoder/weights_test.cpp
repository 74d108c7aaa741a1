#include "model/decoder/weights.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "core/files.h"
#include "core/random.h"
#include "model/checkpoint/fingerprint.h"
#include "model/checkpoint/safetensors.h"
#include "model/golden.h"
#include "model/lora/variant.h"
#include "support/message_of.h"

namespace allreco::model {
namespace fs = std::filesystem;
using testing::golden;
using testing::Variant;

namespace {

/// Whether the tensor's bytes lie in a mapping of that file.
bool is_view_of_file(const at::Tensor& tensor, const fs::path& file) {
  const auto address = reinterpret_cast<std::uintptr_t>(tensor.const_data_ptr());
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t begin = 0, end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx", &begin, &end) == 2 && begin <= address && address < end) {
      return line.ends_with(fs::canonical(file).string());
    }
  }
  return false;
}

at::Tensor random_tensor(std::vector<std::int64_t> shape, at::ScalarType dtype, std::uint64_t key) {
  at::Tensor tensor = at::zeros(shape, at::kDouble);
  core::RandomStream stream(key);
  for (std::int64_t i = 0; i < tensor.numel(); ++i) tensor.mutable_data_ptr<double>()[i] = stream.next_normal();
  return tensor.to(dtype);
}

/// c[i][j] = sum over k of a[i][k] b[k][j], in double.
at::Tensor naive_product(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.to(at::kDouble).contiguous(), y = b.to(at::kDouble).contiguous();
  at::Tensor c = at::zeros({x.size(0), y.size(1)}, at::kDouble);
  for (std::int64_t i = 0; i < x.size(0); ++i) {
    for (std::int64_t j = 0; j < y.size(1); ++j) {
      double sum = 0;
      for (std::int64_t k = 0; k < x.size(1); ++k) {
        sum += x.const_data_ptr<double>()[i * x.size(1) + k] * y.const_data_ptr<double>()[k * y.size(1) + j];
      }
      c.mutable_data_ptr<double>()[i * y.size(1) + j] = sum;
    }
  }
  return c;
}

}  // namespace

TEST(Weights, LoadsEveryTensorIntoItsPlace) {
  for (const std::string model : {"llama-tiny", "mistral-tiny", "llama3rope-tiny"}) {
    const BaseModel base = load_base_model(golden(model).string(), "auto");
    const Checkpoint file{golden(model)};
    const auto expect_same = [&](const at::Tensor& actual, const std::string& name) {
      EXPECT_TRUE(at::equal(actual, file.tensor(name))) << model << " " << name;
    };
    expect_same(base.weights.embedding, "model.embed_tokens.weight");
    expect_same(base.weights.final_norm, "model.norm.weight");
    expect_same(base.weights.lm_head, base.config.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight");
    ASSERT_EQ(static_cast<std::int64_t>(base.weights.layers.size()), base.config.num_hidden_layers);
    for (size_t l = 0; l < base.weights.layers.size(); ++l) {
      const LayerWeights& layer = base.weights.layers[l];
      const std::string prefix = "model.layers." + std::to_string(l);
      expect_same(layer[Norm::input], prefix + ".input_layernorm.weight");
      expect_same(layer[Norm::mlp], prefix + ".post_attention_layernorm.weight");
      for (const auto& [p, name] : std::map<Projection, std::string>{{Projection::q, "self_attn.q_proj"},
                                                                     {Projection::k, "self_attn.k_proj"},
                                                                     {Projection::v, "self_attn.v_proj"},
                                                                     {Projection::o, "self_attn.o_proj"},
                                                                     {Projection::gate, "mlp.gate_proj"},
                                                                     {Projection::up, "mlp.up_proj"},
                                                                     {Projection::down, "mlp.down_proj"}}) {
        expect_same(layer[p].dense(), prefix + "." + name + ".weight");
      }
    }
    EXPECT_EQ(base.name, golden(model).string());
  }
}

TEST(Weights, SameDtypeIsAViewOfTheFileAndOthersAreConverted) {
  const fs::path directory = golden("llama-tiny"), file = directory / "model.safetensors";
  const Weights same = load_base_model(directory.string(), "float32").weights;
  EXPECT_TRUE(is_view_of_file(same.embedding, file));
  EXPECT_TRUE(is_view_of_file(same.layers[2][Projection::down].dense(), file));
  const Weights converted = load_base_model(directory.string(), "bfloat16").weights;
  EXPECT_EQ(converted.dtype(), at::kBFloat16);
  EXPECT_FALSE(is_view_of_file(converted.embedding, file));
  EXPECT_TRUE(at::equal(converted.lm_head, same.lm_head.to(at::kBFloat16)));
  const Weights sharded = load_base_model(golden("stories260k/hf-bf16-sharded").string(), "auto").weights;
  EXPECT_EQ(sharded.dtype(), at::kBFloat16);
  EXPECT_TRUE(is_view_of_file(sharded.layers[4][Projection::q].dense(),
                              golden("stories260k/hf-bf16-sharded/model-00002-of-00002.safetensors")));
  EXPECT_TRUE(sharded.lm_head.is_same(sharded.embedding));

  Variant half("llama-tiny");
  for (auto& [name, tensor] : half.tensors) tensor = tensor.to(at::kHalf);
  EXPECT_NE(half.refusal().find("--dtype"), std::string::npos);
  EXPECT_EQ(half.load("bfloat16").weights.dtype(), at::kBFloat16);
  EXPECT_THROW(half.load("float16"), core::UserError);
}

TEST(Weights, RefusesMissingUnexpectedAndMisshapenTensorsByName) {
  const std::string up = "model.layers.1.mlp.up_proj.weight";
  Variant missing("llama-tiny"), extra("llama-tiny"), misshapen("llama-tiny"), integers("llama-tiny"),
      old("llama-tiny");
  missing.tensors.erase(up);
  EXPECT_NE(missing.refusal().find("lacks " + up), std::string::npos);
  extra.tensors["model.layers.3.mlp.up_proj.weight"] = at::zeros({2});
  EXPECT_NE(extra.refusal().find("model.layers.3.mlp.up_proj.weight"), std::string::npos);
  misshapen.tensors[up] = misshapen.tensors[up].t();
  const std::string message = misshapen.refusal();
  EXPECT_NE(message.find(up + " has the shape [128, 344], config.json asks for [344, 128]"), std::string::npos)
      << message;
  EXPECT_NE(message.find("model.safetensors"), std::string::npos);
  integers.tensors[up] = integers.tensors[up].to(at::kChar);
  EXPECT_NE(integers.refusal().find(up), std::string::npos);
  old.tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = at::zeros({8});
  EXPECT_NO_THROW(old.load());
  Variant untied("llama-tiny");
  untied.tensors.erase("lm_head.weight");
  EXPECT_NE(untied.refusal().find("lm_head.weight"), std::string::npos);

  Variant tied("llama3rope-tiny");
  tied.tensors["lm_head.weight"] = tied.tensors["model.embed_tokens.weight"];
  EXPECT_NO_THROW(tied.load());
  tied.tensors["lm_head.weight"] = tied.tensors["lm_head.weight"] * 2;
  EXPECT_NE(tied.refusal().find("tie_word_embeddings"), std::string::npos);
  EXPECT_NE(support::message_of([] { load_base_model("/nonexistent", "auto"); }).find("random:"), std::string::npos);
  EXPECT_NE(support::message_of([] { load_base_model("random:no-such-shape", "auto"); }).find("tinyllama-1.1b"),
            std::string::npos);
}

// Sums of 48 products of values near 1: each of float32's 48 roundings is below 2^-24 of a partial sum below about 50;
// bfloat16 results are rounded once to 8 bits (2^-9 of a value below 40), its sums kept in float32.
TEST(Weights, FrozenLinearIsTheProductAndItsTranspose) {
  const std::map<at::ScalarType, double> tolerances{
      {at::kDouble, 1e-12}, {at::kFloat, 48 * 50 * 0x1p-24}, {at::kBFloat16, 40 * 0x1p-9}};
  for (const auto& [dtype, tolerance] : tolerances) {
    const FrozenLinear linear(random_tensor({48, 40}, dtype, 1));
    EXPECT_EQ(linear.out_features(), 48);
    EXPECT_EQ(linear.in_features(), 40);
    const at::Tensor x = random_tensor({5, 40}, dtype, 2), dy = random_tensor({5, 48}, dtype, 3);
    EXPECT_TRUE(testing::near(linear.forward(x), naive_product(x, linear.dense().t()), tolerance)) << dtype;
    const at::Tensor dx = naive_product(dy, linear.dense());
    EXPECT_TRUE(testing::near(linear.backward(dy), dx, tolerance)) << dtype;
    at::Tensor sum = random_tensor({5, 40}, dtype, 4);
    const at::Tensor expected = sum.to(at::kDouble) + dx;
    linear.backward_add(dy, sum);
    EXPECT_EQ(sum.scalar_type(), dtype);
    EXPECT_TRUE(testing::near(sum, expected, tolerance)) << dtype;
    EXPECT_EQ(linear.forward(x.narrow(0, 0, 0)).sizes(), (std::vector<std::int64_t>{0, 48}));
  }
}

TEST(Weights, RandomWeightsAreReproducibleAndNormal) {
  const ModelConfig config = named_model_config("stories260k");
  const Weights one = random_weights(config, at::kFloat, 3), two = random_weights(config, at::kFloat, 3);
  const Weights other = random_weights(config, at::kFloat, 4), rounded = random_weights(config, at::kBFloat16, 3);
  const at::Tensor w = one.layers[1][Projection::down].dense();
  EXPECT_TRUE(at::equal(w, two.layers[1][Projection::down].dense()));
  EXPECT_FALSE(at::equal(w, other.layers[1][Projection::down].dense()));
  EXPECT_FALSE(at::equal(w, one.layers[2][Projection::down].dense()));
  EXPECT_TRUE(at::equal(w.to(at::kBFloat16), rounded.layers[1][Projection::down].dense()));
  EXPECT_TRUE(at::equal(one.final_norm, at::ones({64})));
  EXPECT_TRUE(one.lm_head.is_same(one.embedding));
  // 32768 draws: the mean's standard error is 0.02 / 181, that of the deviation 0.02 / 256; five of each.
  EXPECT_NEAR(one.embedding.mean().item<double>(), 0, 5 * 0.02 / 181);
  EXPECT_NEAR(one.embedding.std().item<double>(), 0.02, 5 * 0.02 / 256);

  const BaseModel base = load_base_model("random:stories260k", "bfloat16");
  EXPECT_EQ(base.weights.dtype(), at::kBFloat16);
  EXPECT_EQ(base.name, "random:stories260k");
  EXPECT_NE(base.fingerprint, load_base_model("random:smollm2-135m", "auto").fingerprint);
}

TEST(Fingerprint, FollowsContentAndNothingElse) {
  const std::string original = load_base_model(golden("stories260k/hf-bf16-sharded").string(), "float32").fingerprint;
  EXPECT_EQ(original.size(), 64u);
  Variant copy("stories260k/hf-bf16-sharded");  // one file instead of two, at another place
  EXPECT_EQ(copy.load().fingerprint, original);
  at::Tensor& norm = copy.tensors["model.layers.2.input_layernorm.weight"];
  norm = norm.clone();
  norm[63] = norm[63] * 1.01;
  EXPECT_NE(copy.load().fingerprint, original);

  Variant retrained("llama-tiny");  // a tensor above 64 KiB is sampled; training moves all of it
  const std::string before = retrained.load().fingerprint;
  retrained.tensors["lm_head.weight"] = retrained.tensors["lm_head.weight"] + 1e-3;
  EXPECT_NE(retrained.load().fingerprint, before);
  ModelConfig config = read_model_config(golden("llama-tiny"));
  EXPECT_EQ(load_base_model(golden("llama-tiny").string(), "auto").fingerprint, before);
  config.rms_norm_eps *= 2;
  EXPECT_NE(fingerprint_of(config, Checkpoint(golden("llama-tiny"))), before);
}

}  // namespace allreco::model
