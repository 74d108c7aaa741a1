// Where weights come from, one at a time, and where they lie in one buffer.
#include "model/checkpoint/weight_source.h"

#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "model/decoder/weights.h"
#include "model/golden.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::model {
namespace fs = std::filesystem;
using testing::golden;

TEST(WeightSource, GivesWhatTheCheckpointHolds) {
  for (const char* model : {"llama-tiny", "stories260k/hf-bf16-sharded"}) {
    const Checkpoint mapped(golden(model));
    WeightSource source(golden(model).string(), "auto", {}, FileAccess::read);
    for (const TensorSpec& spec : expected_tensors(read_model_config(golden(model)))) {
      const WeightParts parts = source.next();
      ASSERT_EQ(parts.size(), 1u);
      EXPECT_EQ(parts[0].scalar_type(), source.dtype());
      EXPECT_TRUE(at::equal(parts[0], mapped.tensor(spec.name))) << spec.name;
    }
    EXPECT_EQ(source.fingerprint(), load_base_model(golden(model).string(), "auto").fingerprint);
  }
}

TEST(WeightSource, AFileThatIsCutMeanwhileIsAnError) {
  const support::TemporaryDirectory directory;
  fs::copy(golden("llama-tiny"), directory.path(), fs::copy_options::recursive);
  WeightSource source(directory.path().string(), "auto", {}, FileAccess::read);
  fs::resize_file(directory / "model.safetensors", 20'000);
  const auto read_all = [&] {
    for (;;) source.next();
  };
  EXPECT_NE(support::message_of(read_all).find("cut while in use"), std::string::npos);
}

TEST(WeightSource, ARandomBaseIsTheSameWhetherQuantisedOrNot) {
  Quantization quantization;
  quantization.load_in_4bit = true;
  quantization.llm_int8_skip_modules = {".*"};
  WeightSource source("random:stories260k", "auto", quantization, FileAccess::map);
  const Weights expected = load_base_model("random:stories260k", "auto").weights;
  EXPECT_TRUE(at::equal(source.next()[0], expected.embedding));
  source.next();
  EXPECT_TRUE(at::equal(source.next()[0], expected.layers[0][Projection::q].dense()));
}

TEST(WeightLayout, PartsFollowOneAnotherAlignedAndSurviveJson) {
  Quantization quantization;
  quantization.load_in_4bit = true;
  quantization.bnb_4bit_use_double_quant = true;
  quantization.llm_int8_skip_modules = {"q_proj"};
  const WeightSource source(golden("llama-tiny").string(), "bfloat16", quantization, FileAccess::map);
  const WeightLayout layout(source.stored());
  const WeightLayout again(layout.to_json());
  EXPECT_EQ(again.num_bytes(), layout.num_bytes());
  std::int64_t end = 0;
  for (size_t i = 0; i < layout.weights().size(); ++i) {
    ASSERT_EQ(layout.parts_of(i).size(), layout.weights()[i].nf4 ? 5u : 1u);
    for (size_t j = 0; j < layout.parts_of(i).size(); ++j) {
      const WeightLayout::Part& part = layout.parts_of(i)[j];
      EXPECT_EQ(again.parts_of(i)[j].first_byte, part.first_byte);
      EXPECT_EQ(part.first_byte % 64, 0);
      EXPECT_GE(part.first_byte, end);
      EXPECT_LT(part.first_byte, end + 64);
      std::int64_t bytes = static_cast<std::int64_t>(c10::elementSize(part.dtype));
      for (const std::int64_t extent : part.shape) bytes *= extent;
      end = part.first_byte + bytes;
    }
  }
  EXPECT_GE(layout.num_bytes(), end);
}

}  // namespace allreco::model
