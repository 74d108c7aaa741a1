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
#include "model/checkpoint/model_directory.h"

namespace allreco::cli {
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kLargestOptionsFile = 1 << 20;

/// The options of the run, which `train` keeps beside the adapter.
std::string training_section(const fs::path& adapter) {
  const fs::path options = adapter / "config.cfg";
  if (!fs::exists(options)) return "No config.cfg lies beside the adapter: how it was trained is not known here.\n";
  model::require_own_file(options, adapter);  // its text is published
  return "The options of the run (`allreco train --config`):\n\n" +
         core::markdown_code_block(core::read_file(options, kLargestOptionsFile));
}

/// What `evaluate` measured, if its evaluation.json lies beside the adapter.
std::string accuracy_section(const model::ExportReport& report) {
  const fs::path path = fs::path(report.adapter) / "evaluation.json";
  const std::string how =
      "`allreco evaluate --output_dir ADAPTER` writes evaluation.json beside the adapter; export again to have it "
      "here.\n";
  if (!fs::exists(path)) return "Not measured. " + how;
  model::require_own_file(path, report.adapter);
  const std::string why_not = eval::why_not_of(
      core::read_json_file(path), {report.base_fingerprint, report.base_storage, report.adapter_fingerprint});
  if (!why_not.empty()) {
    core::log_warning("{} is left out of the model card: {}. Evaluate base and adapter again, then export",
                      path.string(), why_not);
    return "Not measured as it is here. " + how;
  }
  const eval::EvaluationDocument evaluation = eval::read_evaluation(path);
  return fmt::format(
      "Of base and adapter, before merging, computed in {}, on the split {} of the dataset with the fingerprint "
      "{}:\n\n{}",
      core::markdown_escaped(evaluation.model->dtype), core::markdown_escaped(evaluation.dataset.split),
      core::markdown_escaped(evaluation.dataset.fingerprint),
      core::markdown_code_block(eval::accuracy_table(evaluation)));
}

std::string origin_section(const model::ExportReport& report) {
  return fmt::format("- base: fingerprint {}, kept as {}\n- adapter: fingerprint {}\n", report.base_fingerprint,
                     report.base_storage, report.adapter_fingerprint);
}

std::string model_card(const model::ExportReport& report) {
  const std::string base = fs::path(report.base_model).lexically_normal().filename().string();
  const std::string training = training_section(report.adapter);
  const std::string accuracy = accuracy_section(report);
  return fmt::format(
      "---\nbase_model: {10}\nlibrary_name: transformers\npipeline_tag: text-generation\ntags: [allreco, lora, "
      "recommendation]\n---\n\n# {0} fine-tuned to recommend\n\nA LoRA adapter merged into its base{1} with `allreco "
      "export`, in {2}. Before you publish it, add the licences of the data and of the base model."
      "\n\n## Made from\n\n{11}\n## Training\n\n{3}\n## Accuracy\n\n{4}\n"
      "## Merging\n\n{5} projections were merged in float32 and rounded once. Against base + adapter the logits of {6} "
      "tokens moved by {7:.2e} (rms; at most {8:.2e}), of an rms of {9:.2e}.\n",
      core::markdown_escaped(base), report.base_was_quantized ? ", which was dequantised from NF4," : "", report.dtype,
      training, accuracy, report.num_merged, report.num_probe_tokens, report.rms_written_difference,
      report.max_written_difference, report.rms_logit, core::yaml_quoted(base), origin_section(report));
}

/// Only how the base is kept can differ unseen: an adapter of another shape is refused.
void warn_of_another_base(const model::ExportReport& report) {
  if (report.adapter_storage.empty()) {
    core::log_info(
        "nothing in {} says how the base was kept in training; if it was in 4 bits, export with the same options, "
        "since merging into the dense weights gives another model",
        report.adapter);
    return;
  }
  const bool known_in_full = report.adapter_storage != "nf4";
  if (known_in_full ? report.adapter_storage == report.base_storage : report.base_was_quantized) return;
  core::log_warning(
      "the adapter was trained over a base kept as {}, and was merged into one that is {}: that is another model than "
      "the one that was trained (docs/qlora.md has an example: loss 1.24 instead of 0.81). Export from the base, and "
      "with the 4-bit options, of training",
      report.adapter_storage, report.base_storage);
}

void say(const model::ExportReport& report) {
  core::log_info("{}: {} projections merged, {:.3f} GB in {}; logits moved by {:.2e} (rms, at most {:.2e}) of {:.2e}",
                 report.output_dir, report.num_merged, 1e-9 * static_cast<double>(report.written_bytes), report.dtype,
                 report.rms_written_difference, report.max_written_difference, report.rms_logit);
  warn_of_another_base(report);
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
      "layers.",
      {job.options(), runtime.options()});
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
