#include "train/checkpoint_writer.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/full_like.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "core/files.h"
#include "support/temporary_directory.h"
#include "train/adamw.h"
#include "train/files.h"

namespace {
std::atomic<const char*> held_file = nullptr;  // which cannot be removed
}

/// In place of libc's, which std::filesystem::remove_all calls: a file that somebody on another node still reads.
extern "C" int unlinkat(int directory, const char* name, int flags) noexcept {
  const char* held = held_file;
  if (held != nullptr && std::strcmp(name, held) == 0) {
    errno = EBUSY;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_unlinkat, directory, name, flags));
}

namespace allreco::train {
namespace {
namespace fs = std::filesystem;

struct Trained {
  model::LoraStore store{model::read_model_config(fixture("golden/llama-tiny")), {.r = 4}, at::kFloat, 1};
  AdamW optimizer{store.parameters(), param_groups(store), {}};
  SaveRequest request(std::int64_t step, bool best = false) const {
    return {.step = step,
            .contents = snapshot_of(store, optimizer, {"base"}),
            .state = {{"global_step", step}},
            .best = best,
            .metric = 0.5};
  }
};

TEST(CheckpointWriter, SavesTheStateOfTheRequestNotOfLater) {
  const support::TemporaryDirectory scratch;
  Trained trained;
  const at::Tensor at_request = trained.store.parameters().clone();
  CheckpointWriter writer(scratch.path(), 0);
  writer.save(trained.request(1, true));
  trained.store.parameters().fill_(7);
  writer.save(trained.request(2));
  trained.store.parameters().fill_(8);
  writer.wait();
  const auto outcomes = writer.take_outcomes();
  ASSERT_EQ(outcomes.size(), 2u);
  EXPECT_TRUE(writer.take_outcomes().empty());
  for (const SaveOutcome& outcome : outcomes) EXPECT_EQ(outcome.error, "");
  EXPECT_EQ(fs::read_symlink(scratch / "best"), "checkpoint-1");
  EXPECT_EQ(fs::read_symlink(scratch / "last"), "checkpoint-2");
  Trained loaded;
  load_checkpoint(scratch / "checkpoint-1", loaded.store, loaded.optimizer);
  EXPECT_TRUE(at::equal(loaded.store.parameters(), at_request));
  load_checkpoint(scratch / "checkpoint-2", loaded.store, loaded.optimizer);
  EXPECT_TRUE(at::equal(loaded.store.parameters(), at::full_like(at_request, 7)));
}

// More requests than may wait: save() then waits itself, and the destructor saves what is left.
TEST(CheckpointWriter, EverythingQueuedIsSavedInOrderAndOldOnesGo) {
  const support::TemporaryDirectory scratch;
  const Trained trained;
  constexpr std::int64_t kRequests = 3 * CheckpointWriter::kMaxQueued;
  {
    CheckpointWriter writer(scratch.path(), 2);
    for (std::int64_t step = 1; step <= kRequests; ++step) writer.save(trained.request(step));
  }
  EXPECT_EQ(newest_whole_checkpoint(scratch.path()), scratch / checkpoint_name(kRequests));
  EXPECT_EQ(damage_of(scratch / checkpoint_name(kRequests - 1)), std::nullopt);
  EXPECT_FALSE(fs::exists(scratch / checkpoint_name(kRequests - 2)));
}

TEST(CheckpointWriter, AFailedSaveIsAnOutcomeAndTheNextOneWorks) {
  const support::TemporaryDirectory scratch;
  const Trained trained;
  const fs::path output = scratch / "out";
  fs::create_directory(output);
  CheckpointWriter writer(output, 0);
  writer.save(trained.request(1));
  writer.wait();
  fs::rename(output, scratch / "aside");
  write_text(output, "a file where the directory was");
  writer.save(trained.request(2, true));
  writer.wait();
  fs::remove(output);
  fs::rename(scratch / "aside", output);
  writer.save(trained.request(3));
  writer.wait();
  const auto outcomes = writer.take_outcomes();
  ASSERT_EQ(outcomes.size(), 3u);
  EXPECT_EQ(outcomes[0].error, "");
  EXPECT_NE(outcomes[1].error.find("checkpoint-2"), std::string::npos) << outcomes[1].error;
  EXPECT_TRUE(outcomes[1].best);
  EXPECT_EQ(outcomes[2].error, "");
  EXPECT_FALSE(fs::exists(output / "best"));
  EXPECT_FALSE(fs::exists(output / "checkpoint-2"));
  EXPECT_EQ(newest_whole_checkpoint(output), output / "checkpoint-3");
}

TEST(CheckpointWriter, WhatCannotBeRemovedIsNoFailedSave) {
  const support::TemporaryDirectory scratch;
  const Trained trained;
  held_file = "optimizer.safetensors";
  {
    CheckpointWriter writer(scratch.path(), 1);
    for (std::int64_t step = 1; step <= 3; ++step) writer.save(trained.request(step));
    writer.wait();
    const auto outcomes = writer.take_outcomes();
    ASSERT_EQ(outcomes.size(), 3u);
    for (const SaveOutcome& outcome : outcomes) EXPECT_EQ(outcome.error, "");
  }
  EXPECT_TRUE(fs::exists(scratch / "checkpoint-1.deleted.tmp/optimizer.safetensors"));  // or the test shows nothing
  EXPECT_FALSE(fs::exists(scratch / "checkpoint-1"));
  EXPECT_EQ(newest_whole_checkpoint(scratch.path()), scratch / "checkpoint-3");
  held_file = nullptr;
  clean_up_interrupted_saves(scratch.path());
  EXPECT_FALSE(fs::exists(scratch / "checkpoint-1.deleted.tmp"));
}

}  // namespace
}  // namespace allreco::train
