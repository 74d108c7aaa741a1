#include "train/checkpoint.h"

#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "core/check.h"
#include "core/files.h"
#include "core/random.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"
#include "train/adamw.h"
#include "train/config.h"
#include "train/files.h"
#include "train/output_dir.h"

namespace allreco::train {
namespace {
namespace fs = std::filesystem;

model::ModelConfig tiny_model() { return model::read_model_config(fixture("golden/llama-tiny")); }

/// A store and an optimiser after two updates with random gradients: no buffer is constant.
struct Trained {
  explicit Trained(std::uint64_t seed)
      : store(tiny_model(), {.r = 4}, at::kFloat, seed), optimizer(store.parameters(), param_groups(store), {}) {
    core::RandomStream random(seed);
    for (int update = 0; update < 2; ++update) {
      auto* gradients = store.gradients().mutable_data_ptr<float>();
      for (std::int64_t i = 0; i < store.num_parameters(); ++i) gradients[i] = static_cast<float>(random.next_normal());
      optimizer.step(store.gradients(), 1e-3);
    }
  }
  model::LoraStore store;
  AdamW optimizer;
  CheckpointContents contents() const { return snapshot_of(store, optimizer, {"base"}); }
};

TEST(Checkpoint, ComesBackBitForBit) {
  const support::TemporaryDirectory scratch;
  const Trained original(1);
  save_checkpoint(scratch.path(), 7, original.contents(), {{"global_step", 7}});
  EXPECT_EQ(damage_of(scratch / "checkpoint-7"), std::nullopt);
  EXPECT_EQ(fs::read_symlink(scratch / "last"), "checkpoint-7");
  EXPECT_EQ(core::read_json_file(scratch / "last/trainer_state.json").at("global_step"), 7);
  Trained other(2);
  ASSERT_FALSE(at::equal(other.store.parameters(), original.store.parameters()));
  load_checkpoint(scratch / "checkpoint-7", other.store, other.optimizer);
  EXPECT_TRUE(at::equal(other.store.parameters(), original.store.parameters()));
  EXPECT_TRUE(at::equal(other.optimizer.exp_avg(), original.optimizer.exp_avg()));
  EXPECT_TRUE(at::equal(other.optimizer.exp_avg_sq(), original.optimizer.exp_avg_sq()));
  EXPECT_EQ(other.optimizer.num_updates(), 2);
  // The same bits make the same files.
  save_checkpoint(scratch.path(), 8, other.contents(), {{"global_step", 7}});
  EXPECT_EQ(core::read_file(scratch / "checkpoint-8/SHA256SUMS"), core::read_file(scratch / "checkpoint-7/SHA256SUMS"));
  model::LoraStore narrow(tiny_model(), {.r = 2}, at::kFloat, 1);
  AdamW narrow_optimizer(narrow.parameters(), param_groups(narrow), {});
  EXPECT_THROW(load_checkpoint(scratch / "checkpoint-7", narrow, narrow_optimizer), core::UserError);
}

TEST(Checkpoint, DamageToAnyFileIsFoundSkippedByAutoAndRefusedByName) {
  const support::TemporaryDirectory scratch;
  const Trained trained(1);
  for (const char* name : {"adapter_config.json", "adapter_model.safetensors", "optimizer.safetensors",
                           "trainer_state.json", "SHA256SUMS"}) {
    for (const char* how : {"missing", "cut", "flipped"}) {
      const fs::path output = scratch / (std::string(name) + how);
      fs::create_directory(output);
      save_checkpoint(output, 5, trained.contents(), {{"global_step", 5}});
      save_checkpoint(output, 10, trained.contents(), {{"global_step", 10}});
      const fs::path victim = output / "checkpoint-10" / name;
      std::string bytes = core::read_file(victim);
      fs::remove(victim);
      if (how == std::string("cut")) write_text(victim, bytes.substr(0, bytes.size() / 2));
      if (how == std::string("flipped")) {
        bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
        write_text(victim, bytes);
      }
      ASSERT_TRUE(damage_of(output / "checkpoint-10").has_value()) << name << " " << how;
      EXPECT_EQ(newest_whole_checkpoint(output), output / "checkpoint-5");
      TrainConfig config;
      config.output_dir = output.string();
      config.resume_from_checkpoint = "auto";
      EXPECT_EQ(choose_start(config), output / "checkpoint-5");
      for (const std::string& wanted : {std::string("last"), (output / "checkpoint-10").string()}) {
        config.resume_from_checkpoint = wanted;
        const std::string message = support::message_of<core::UserError>([&] { choose_start(config); });
        // A flipped SHA256SUMS shows as a file that does not match it.
        EXPECT_TRUE(message.find(name) != std::string::npos) << name << " " << how << ": " << message;
      }
      fs::remove_all(output / "checkpoint-5");
      config.resume_from_checkpoint = "auto";
      EXPECT_THROW(choose_start(config), core::UserError) << "nothing whole is left: starting over would hide it";
    }
  }
}

TEST(Checkpoint, AnInterruptedSaveLeavesOnlyWholeOnes) {
  const support::TemporaryDirectory scratch;
  const Trained trained(1);
  save_checkpoint(scratch.path(), 5, trained.contents(), {{"global_step", 5}});
  // Killed while writing the files of step 10, and while step 5 was being replaced by a new one.
  fs::create_directory(scratch / "checkpoint-10.tmp");
  write_text(scratch / "checkpoint-10.tmp/SHA256SUMS", "");
  fs::rename(scratch / "checkpoint-5", scratch / "checkpoint-5.replaced.tmp");
  fs::create_directory(scratch / "checkpoint-3.deleted.tmp");
  write_text(scratch / ".train_results.json.tmp-7", "half");
  write_text(scratch / ".report.html.tmp-7", "another command's, which may be at work");
  TrainConfig config;
  config.output_dir = scratch.path().string();
  config.resume_from_checkpoint = "auto";
  EXPECT_EQ(choose_start(config), scratch / "checkpoint-5");
  EXPECT_FALSE(fs::exists(scratch / "checkpoint-10.tmp"));
  EXPECT_FALSE(fs::exists(scratch / "checkpoint-3.deleted.tmp"));
  EXPECT_FALSE(fs::exists(scratch / ".train_results.json.tmp-7"));
  EXPECT_TRUE(fs::exists(scratch / ".report.html.tmp-7"));
  // A save over leftovers and over a checkpoint of the same step.
  fs::create_directory(scratch / "checkpoint-5.tmp");
  write_text(scratch / "checkpoint-5.tmp/junk", "");
  save_checkpoint(scratch.path(), 5, trained.contents(), {{"global_step", 55}});
  EXPECT_EQ(core::read_json_file(scratch / "checkpoint-5/trainer_state.json").at("global_step"), 55);
  EXPECT_FALSE(fs::exists(scratch / "checkpoint-5/junk"));
  EXPECT_FALSE(fs::exists(scratch / "checkpoint-5.replaced.tmp"));
}

TEST(Checkpoint, TheLimitSparesLastBestAndOtherNames) {
  const support::TemporaryDirectory scratch;
  const Trained trained(1);
  for (std::int64_t step : {9, 10, 11, 100}) save_checkpoint(scratch.path(), step, trained.contents(), {});
  fs::create_directory(scratch / "checkpoint-best-of-mine");
  update_link(scratch.path(), "best", "checkpoint-9");
  delete_old_checkpoints(scratch.path(), 0);
  EXPECT_TRUE(fs::exists(scratch / "checkpoint-10"));
  delete_old_checkpoints(scratch.path(), 2);
  EXPECT_TRUE(fs::exists(scratch / "checkpoint-9"));
  EXPECT_FALSE(fs::exists(scratch / "checkpoint-10"));
  EXPECT_FALSE(fs::exists(scratch / "checkpoint-11"));
  EXPECT_TRUE(fs::exists(scratch / "checkpoint-100"));
  EXPECT_TRUE(fs::exists(scratch / "checkpoint-best-of-mine"));
  EXPECT_EQ(checkpoint_step("checkpoint-12"), 12);
  EXPECT_EQ(checkpoint_step("checkpoint-12.tmp"), std::nullopt);
  EXPECT_EQ(checkpoint_step("checkpoint-"), std::nullopt);
  EXPECT_EQ(checkpoint_step("check"), std::nullopt);
}

}  // namespace
}  // namespace allreco::train
