// export: base and adapter in, one dense Hugging Face model out, with a card that says what it is.
#include "model/convert/export.h"

#include <filesystem>

#include "cli/bindings.h"
#include "cli/commands.h"
#include "core/check.h"
#include "core/files.h"
#include "core/json.h"
#include "core/log.h"
#include "core/text.h"
#include "eval/evaluate.h"

namespace allreco::cli {
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kLargestOptionsFile = 1 << 20;

/// The options of the run, which `train` keeps beside the adapter.
std::string training_section(const fs::path& adapter) {
  const fs::path options = adapter / "config.cfg";
  if (!fs::exists(options)) return "No config.cfg lies beside the adapter: how it was trained is not known here.\n";
  return "The options of the run (`allreco train --config`):\n\n" +
         core::markdown_code_block(core::read_file(options, kLargestOptionsFile));
}

/// What `evaluate` measured, if its evaluation.json lies beside the adapter.
std::string accuracy_section(const fs::path& adapter) {
  const fs::path evaluation = adapter / "evaluation.json";
  if (!fs::exists(evaluation)) {
    return "Not measured. `allreco evaluate --output_dir ADAPTER` writes evaluation.json beside the adapter; export "
           "again to "
           "have it here.\n";
  }
  const core::Json document = core::read_json_file(evaluation);
  try {
    return "Of base and adapter, before merging:\n\n" + core::markdown_code_block(eval::accuracy_table(document));
  } catch (const core::Json::exception& e) {
    core::user_error("{} is not what `allreco evaluate` writes: {}. Remove it, or evaluate again", evaluation.string(),
                     e.what());
  }
}

std::string model_card(const model::ExportReport& report) {
  const std::string base = fs::path(report.base_model).lexically_normal().filename().string();
  const std::string training = training_section(report.adapter);
  const std::string accuracy = accuracy_section(report.adapter);
  return fmt::format(
      "---\nbase_model: {10}\nlibrary_name: transformers\npipeline_tag: text-generation\ntags: [allreco, lora, "
      "recommendation]\n---\n\n# {0} fine-tuned to recommend\n\nA LoRA adapter merged into its base{1} with `allreco "
      "export`, in {2}. Before you publish it, add the licences of the data and of the base model."
      "\n\n## Training\n\n{3}\n## Accuracy\n\n{4}\n"
      "## Merging\n\n{5} projections were merged in float32 and rounded once. Against base + adapter the logits of {6} "
      "tokens moved by {7:.2e} (rms; at most {8:.2e}), of an rms of {9:.2e}.\n",
      core::markdown_escaped(base), report.base_was_quantized ? ", which was dequantised from NF4," : "", report.dtype,
      training, accuracy, report.num_merged, report.num_probe_tokens, report.rms_written_difference,
      report.max_written_difference, report.rms_logit, core::yaml_quoted(base));
}

void say(const model::ExportReport& report) {
  core::log_info("{}: {} projections merged, {:.3f} GB in {}; logits moved by {:.2e} (rms, at most {:.2e}) of {:.2e}",
                 report.output_dir, report.num_merged, 1e-9 * static_cast<double>(report.written_bytes), report.dtype,
                 report.rms_written_difference, report.max_written_difference, report.rms_logit);
  if (!report.base_was_quantized) return;
  core::log_warning(
      "the base is in 4 bits: what was written is its dequantised weights with the adapter, in {}; its logits differ "
      "from base + adapter by {:.2e} (rms), of {:.2e}. Quantising it again, or merging it into the original weights, "
      "gives another model than the one that was trained",
      report.dtype, report.rms_written_difference, report.rms_logit);
}

}  // namespace

int export_command(dist::Session& session, const Arguments& arguments) {
  model::ExportJob job;
  job.model_card = &model_card;
  RuntimeOptions runtime;
  OptionList list(
      "allreco export",
      "Merges an adapter into its base and writes a Hugging Face model. One process; needs memory for a few "
      "layers.");
  list.add("model_name_or_path", job.model_name_or_path, "The base that the adapter was trained on: a directory.");
  list.add("adapter_name_or_path", job.adapter_name_or_path, "A PEFT adapter directory.");
  list.add("output_dir", job.output_dir, "A directory that does not exist yet, or is empty.");
  list.add("dtype", job.dtype, "The dtype in which the base was trained on; auto: the checkpoint's.",
           one_of({"auto", "float32", "bfloat16"}));
  list.add("export_dtype", job.export_dtype, "The dtype to write; auto: that of the base.",
           one_of({"auto", "float32", "bfloat16", "float16"}));
  bind(list, job.quantization);
  list.add("max_shard_size", job.max_shard_size, "The largest file, such as 5GB or 500MB.");
  bind(list, runtime);
  if (!parse_or_help(list, arguments, session)) return kExitDone;
  apply(runtime, session);
  require_option("model_name_or_path", job.model_name_or_path);
  require_option("adapter_name_or_path", job.adapter_name_or_path);
  require_option("output_dir", job.output_dir);
  require_one_rank(session, "export");
  say(model::export_merged(job));
  return kExitDone;
}

}  // namespace allreco::cli
