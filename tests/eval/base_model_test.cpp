// model_loading = broadcast against mmap: the same bits on every rank, and only rank 0 touches the files.
#include "eval/base_model.h"

#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "core/check.h"
#include "eval/small_world.h"
#include "support/lone_session.h"
#include "support/message_of.h"

namespace allreco::eval {
namespace {

using namespace testing;

std::vector<at::Tensor> tensors_of(const model::Weights& weights) {
  std::vector<at::Tensor> all{weights.embedding, weights.final_norm, weights.lm_head};
  for (const model::LayerWeights& layer : weights.layers) {
    all.insert(all.end(), {layer[model::Norm::input], layer[model::Norm::mlp]});
    for (const model::FrozenLinear& projection : layer.projections) all.push_back(projection.dense());
  }
  return all;
}

void expect_equal(const model::BaseModel& found, const model::BaseModel& expected) {
  EXPECT_EQ(found.fingerprint, expected.fingerprint);
  EXPECT_EQ(model::to_json(found.config), model::to_json(expected.config));
  const auto a = tensors_of(found.weights), b = tensors_of(expected.weights);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].scalar_type(), b[i].scalar_type()) << i;
    EXPECT_TRUE(at::equal(a[i], b[i])) << i;
  }
}

BaseModelOptions on_cpu(const std::string& directory, const std::string& dtype) {
  BaseModelOptions options;
  options.model_name_or_path = directory;
  options.dtype = dtype;
  options.device = "cpu";
  return options;
}

/// Runs under mpirun, on any number of ranks; a process can start MPI once, so this is one test.
TEST(MpiBaseModel, BroadcastGivesTheSameBitsAndOnlyRankZeroReads) {
  support::LoneSession world;
  dist::Session& session = world.get();
  session.set_timeout(60);
  for (const char* model : {"tests/fixtures/golden/llama-tiny", "tests/fixtures/golden/stories260k/hf-bf16-sharded"}) {
    const std::string directory = repository(model).string();
    for (const std::string dtype : {"auto", "float32", "bfloat16"}) {
      const model::BaseModel expected = model::load_base_model(directory, dtype);
      for (int ranks_per_node = session.world_size(); ranks_per_node >= 1; ranks_per_node /= 2) {
        const dist::NodeGroups nodes(session, session.rank() / ranks_per_node);
        const BaseModelOptions options = on_cpu(session.is_leader() ? directory : "/nonexistent", dtype);
        expect_equal(load_shared_base_model(session, nodes, options, BaseReaders::rank_zero), expected);
      }
    }
  }
  const dist::NodeGroups nodes(session);
  const std::string message = support::message_of(
      [&] { load_shared_base_model(session, nodes, on_cpu("/nonexistent", "auto"), BaseReaders::rank_zero); });
  EXPECT_NE(message.find("/nonexistent is no directory"), std::string::npos) << message;
}

}  // namespace
}  // namespace allreco::eval
