#include "train/tiny_run.h"

#include <fmt/core.h>

#include <sstream>

#include "core/files.h"
#include "core/random.h"
#include "data/store/dataset_writer.h"
#include "model/checkpoint/safetensors.h"
#include "support/lone_session.h"
#include "train/files.h"

namespace allreco::train {
namespace fs = std::filesystem;

namespace {

data::Example example_of_row(const std::int64_t* ids, const std::int64_t* labels, std::int64_t length) {
  data::Example example;
  for (std::int64_t t = 0; t < length; ++t) example.tokens.push_back(static_cast<data::TokenId>(ids[t]));
  while (example.prompt_length < length && labels[example.prompt_length] == -100) ++example.prompt_length;
  return example;
}

void append_batches(data::DatasetWriter& writer, const fs::path& path) {
  const model::SafetensorsFile file(path);
  for (int m = 0;; ++m) {
    const std::string prefix = fmt::format("micro{:03d}.", m);
    if (!file.contains(prefix + "input_ids")) return;
    const at::Tensor ids = file.tensor(prefix + "input_ids");
    const at::Tensor labels = file.tensor(prefix + "labels");
    const at::Tensor lengths = file.tensor(prefix + "lengths");
    for (std::int64_t row = 0; row < ids.size(0); ++row) {
      const std::int64_t offset = row * ids.size(1);
      writer.append("train", example_of_row(ids.const_data_ptr<std::int64_t>() + offset,
                                            labels.const_data_ptr<std::int64_t>() + offset,
                                            lengths.const_data_ptr<std::int64_t>()[row]));
    }
  }
}

void append_eval(data::DatasetWriter& writer, const fs::path& path) {
  const model::SafetensorsFile file(path);
  for (int i = 0;; ++i) {
    const std::string prefix = fmt::format("eval{:02d}.", i);
    if (!file.contains(prefix + "input_ids")) return;
    const at::Tensor ids = file.tensor(prefix + "input_ids");
    writer.append("validation",
                  example_of_row(ids.const_data_ptr<std::int64_t>(),
                                 file.tensor(prefix + "labels").const_data_ptr<std::int64_t>(), ids.size(0)));
  }
}

data::DatasetWriter writer_for(const fs::path& directory) {
  data::DatasetWriterOptions options;
  options.directory = directory;
  options.vocab_size = 512;
  return data::DatasetWriter(options);
}

std::vector<std::string> metric_lines(const fs::path& output_dir) {
  std::istringstream stream(core::read_file(output_dir / "metrics.jsonl"));
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace

void write_golden_dataset(const fs::path& directory, const fs::path& batches, const fs::path& eval) {
  data::DatasetWriter writer = writer_for(directory);
  append_batches(writer, batches);
  if (!eval.empty()) append_eval(writer, eval);
  writer.finish({}, {});
}

void write_random_dataset(const fs::path& directory, std::int64_t count) {
  data::DatasetWriter writer = writer_for(directory);
  core::RandomStream random(5);
  for (const char* split : {"train", "validation"}) {
    for (std::int64_t i = 0; i < count; ++i) {
      data::Example example;
      const auto length = static_cast<std::int64_t>(6 + random.next_below(12));
      for (std::int64_t t = 0; t < length; ++t)
        example.tokens.push_back(static_cast<data::TokenId>(random.next_below(512)));
      example.prompt_length = static_cast<std::int64_t>(random.next_below(static_cast<std::uint64_t>(length - 1)));
      writer.append(split, example);
    }
  }
  writer.finish({}, {});
}

TrainJob tiny_job(const fs::path& dataset, const fs::path& output_dir) {
  TrainJob job;
  job.base.model_name_or_path = fixture("golden/llama-tiny").string();
  job.base.dtype = "float32";
  job.base.device = "cpu";
  job.lora = {.r = 4, .lora_alpha = 8, .lora_dropout = 0.1, .target_modules = {"q_proj", "v_proj", "down_proj"}};
  job.resolved_options = "max_steps = 12\n";
  job.config.dataset = dataset.string();
  job.config.output_dir = output_dir.string();
  job.config.per_device_train_batch_size = 4;
  job.config.max_steps = 12;
  job.config.learning_rate = 5e-3;
  job.config.warmup_steps = 2;
  job.config.logging_steps = 3;
  job.config.save_steps = 5;
  return job;
}

TrainResult run(const TrainJob& job) {
  support::LoneSession session;
  return run_training(session.get(), job);
}

std::vector<core::Json> lines_with(const fs::path& output_dir, const std::string& key) {
  std::vector<core::Json> found;
  for (const std::string& line : metric_lines(output_dir)) {
    const core::Json value = core::Json::parse(line);
    if (value.contains(key)) found.push_back(value);
  }
  return found;
}

std::string reproducible_metrics(const fs::path& output_dir) {
  std::string text;
  for (const std::string& line : metric_lines(output_dir)) {
    core::Json value = core::Json::parse(line);
    for (const char* key : {"tokens_per_second", "step_ms", "compute_ms", "communication_exposed_ms", "data_wait_ms",
                            "peak_rss_bytes", "peak_gpu_bytes", "eval_runtime_ms"}) {
      value.erase(key);
    }
    text += value.dump() + "\n";
  }
  return text;
}

}  // namespace allreco::train
