#include "cli/commands.h"

#include <fmt/core.h>

#include "core/check.h"
#include "core/log.h"

namespace allreco::cli {

const std::vector<Command>& commands() {
  static const std::vector<Command> all{
      {"prepare", "reviews and metadata, sequences of items, ready prompts, or token ids -> a dataset directory",
       &prepare_command, "Set memory_limit, or a smaller one"},
      {"audit", "what a dataset gives away: accuracy without a model, duplicates, leaks, base rates", &audit_command},
      {"train", "fine-tune a model with LoRA, data-parallel and resumable (run it under mpirun)", &train_command,
       "Use a smaller per_device_train_batch_size or load_in_4bit"},
      {"evaluate", "accuracy with its interval next to baselines, ranking and generation metrics (under mpirun)",
       &evaluate_command, "Use smaller max_tokens_per_batch and per_device_eval_batch_size, or load_in_4bit"},
      {"compare", "two evaluations of the same examples, paired: differences with intervals and tests",
       &compare_command},
      {"recommend", "a history -> the k best items of the catalogue; one shot, line by line, or over HTTP",
       &recommend_command, "Use a smaller max_tokens_per_batch or batch_size, or load_in_4bit"},
      {"report",
       "runs -> one page of loss, speed, accuracy, errors and provenance, without network; tables as csv and JSON",
       &report_command},
      {"quantize", "a dense Hugging Face model -> the same in NF4, as bitsandbytes keeps it", &quantize_command},
      {"export", "base + adapter -> one dense Hugging Face model", &export_command},
      {"inspect", "what is in a dataset, model, adapter or checkpoint directory", &inspect_command},
      {"bench", "the speed of a training step, where its time and memory go, and the data plane (under mpirun)",
       &bench_command, "Use a smaller per_device_train_batch_size or load_in_4bit"},
      {"doctor", "checks machine, MPI, GPUs, NCCL and file system, and says what to fix (under mpirun)",
       &doctor_command},
  };
  return all;
}

std::string memory_advice(const Arguments& arguments) {
  for (const Command& command : commands())
    if (!arguments.empty() && arguments[0] == command.name) return command.memory_advice;
  return {};
}

std::string overview() {
  std::string text =
      "allreco: fine-tune language models to recommend.\n\nUsage: allreco <command> [--config FILE] [--key value "
      "...]\n\n"
      "Commands:\n";
  for (const Command& command : commands()) text += fmt::format("  {:<10} {}\n", command.name, command.summary);
  return text +
         "\n`allreco <command> --help` lists every option with its default; `allreco --version` says which this is.\n";
}

int run_command(dist::Session& session, const Arguments& arguments) {
  if (arguments.empty() || arguments[0] == "--help" || arguments[0] == "-h" || arguments[0] == "help") {
    if (session.is_leader()) core::write_output(overview());
    return arguments.empty() ? kExitUserError : kExitDone;
  }
  if (arguments[0] == "--version") {
    if (session.is_leader()) core::write_output(std::string("allreco ") + ALLRECO_VERSION + "\n");
    return kExitDone;
  }
  for (const Command& command : commands()) {
    if (arguments[0] == command.name) return command.run(session, {arguments.begin() + 1, arguments.end()});
  }
  throw core::UserError(core::message("unknown command {}\n\n", arguments[0]) + overview());
}

}  // namespace allreco::cli
