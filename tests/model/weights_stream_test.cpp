// The stream that rank 0 reads from, against the mapped checkpoint.
#include "model/weights_stream.h"

#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "model/golden.h"

namespace allreco::model {
namespace fs = std::filesystem;
using testing::golden;
using testing::TemporaryDirectory;
using testing::user_error_of;

TEST(WeightsStream, GivesWhatTheMappedCheckpointHolds) {
  for (const char* model : {"llama-tiny", "stories260k/hf-bf16-sharded"}) {
    const Checkpoint mapped(golden(model));
    WeightsStream stream(golden(model).string(), "auto");
    for (const TensorSpec& spec : expected_tensors(read_model_config(golden(model)))) {
      const at::Tensor tensor = stream.next();
      EXPECT_EQ(tensor.scalar_type(), stream.dtype());
      EXPECT_TRUE(at::equal(tensor, mapped.tensor(spec.name))) << spec.name;
    }
    EXPECT_EQ(stream.fingerprint(), load_base_model(golden(model).string(), "auto").fingerprint);
  }
}

TEST(WeightsStream, AFileThatIsCutMeanwhileIsAnError) {
  const TemporaryDirectory directory;
  fs::copy(golden("llama-tiny"), directory.path(), fs::copy_options::recursive);
  WeightsStream stream(directory.path().string(), "auto");
  fs::resize_file(directory / "model.safetensors", 20'000);
  const auto read_all = [&] {
    for (;;) stream.next();
  };
  EXPECT_NE(user_error_of(read_all).find("cut while in use"), std::string::npos);
}

TEST(WeightLayout, TensorsFollowOneAnotherAligned) {
  const ModelConfig config = read_model_config(golden("llama-tiny"));
  const WeightLayout layout = weight_layout(config, at::kBFloat16);
  std::int64_t end = 0;
  for (size_t i = 0; i < layout.specs.size(); ++i) {
    EXPECT_EQ(layout.first_bytes[i] % 64, 0);
    EXPECT_GE(layout.first_bytes[i], end);
    EXPECT_LT(layout.first_bytes[i], end + 64);
    std::int64_t elements = 1;
    for (const std::int64_t extent : layout.specs[i].shape) elements *= extent;
    end = layout.first_bytes[i] + 2 * elements;
  }
  EXPECT_GE(layout.num_bytes, end);
}

}  // namespace allreco::model
