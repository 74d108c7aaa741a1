#include "cli/bindings.h"

#include <fmt/core.h>

#include "cli/runtime.h"
#include "core/check.h"
#include "core/log.h"

namespace allreco::cli {

void bind(OptionList& list, RuntimeOptions& options) {
  list.add("threads", options.threads,
           "Threads of each rank; 0: OMP_NUM_THREADS, or else the cores this process may use, shared with the ranks of "
           "its node that may use them, too.",
           at_least(0));
  list.add("log_level", options.log_level, "How much to log.", one_of({"debug", "info", "warning", "error"}));
}

void apply(const RuntimeOptions& options, dist::Session& session) {
  core::set_up_log(session.rank(), session.world_size(), options.log_level);
  const std::int64_t threads = set_up_threads(options.threads, session);
  core::log_info("{} rank(s), {} thread(s) each", session.world_size(), threads);
}

void bind(OptionList& list, ModelOptions& options) {
  list.add("model_name_or_path", options.model_name_or_path,
           "A Hugging Face model directory, or random:<shape> for a published shape with random weights.");
  list.add("adapter_name_or_path", options.adapter_name_or_path, "A PEFT adapter directory to start from.");
  list.add("dtype", options.dtype, "The dtype to compute in; auto: the checkpoint's.",
           one_of({"auto", "float32", "bfloat16"}));
  list.add("device", options.device, "Where to compute; auto: on the GPU where there is one and this program has CUDA.",
           one_of({"auto", "cpu", "cuda"}));
  list.add("allow_gpu_sharing", options.allow_gpu_sharing,
           "Let several ranks compute on one GPU; slow, for trials. Else two ranks on one GPU are an error.");
  list.add(
      "model_loading", options.model_loading,
      "mmap: every rank maps the model's files; broadcast: rank 0 alone reads them and each node keeps one copy in "
      "memory, for slow file systems.",
      one_of({"mmap", "broadcast"}));
  bind(list, options.quantization);
}

void bind(OptionList& list, model::Quantization& quantization) {
  list.add(
      "load_in_4bit", quantization.load_in_4bit,
      "Quantise a dense model's projections to NF4 while it is read (QLoRA). A model that holds NF4 of bitsandbytes "
      "is kept as it is, whatever these options say.");
  bind_quantized_form(list, quantization);
}

void bind_quantized_form(OptionList& list, model::Quantization& quantization) {
  list.add("bnb_4bit_quant_type", quantization.bnb_4bit_quant_type, "The 4-bit data type.", one_of({"nf4"}));
  list.add("bnb_4bit_use_double_quant", quantization.bnb_4bit_use_double_quant,
           "Quantise the blocks' scales, too: 4.13 bits a weight instead of 4.5.");
  list.add("bnb_4bit_compute_dtype", quantization.bnb_4bit_compute_dtype,
           "Of products with 4-bit weights; auto: what a model in NF4 was made for, else dtype.",
           one_of({"auto", "float32", "bfloat16"}));
  list.add("llm_int8_skip_modules", quantization.llm_int8_skip_modules,
           "Modules that load_in_4bit leaves dense, as names or regular expressions of module paths; lm_head always "
           "is.");
}

void bind(OptionList& list, model::LoraConfig& config) {
  list.add("lora_r", config.r, "LoRA's rank.", at_least(1));
  list.add("lora_alpha", config.lora_alpha, "LoRA's scale is lora_alpha / lora_r.", at_least(0));
  list.add("lora_dropout", config.lora_dropout, "Dropout on the input of the LoRA factors.", between(0, 0.999));
  list.add("use_rslora", config.use_rslora, "Scale by lora_alpha / sqrt(lora_r) instead.");
  list.add(
      "target_modules", config.target_modules,
      "Projections that get factors, of q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj; or all-linear.");
}

bool parse_or_help(OptionList& list, const std::vector<std::string>& arguments, const dist::Session& session) {
  if (list.parse(arguments)) return true;
  if (session.is_leader()) fmt::print("{}", list.help());
  return false;
}

void require_one_rank(const dist::Session& session, const std::string& command) {
  if (session.world_size() == 1) return;
  core::user_error("{} runs as one process, found {} ranks: call it without mpirun", command, session.world_size());
}

void require_option(const std::string& name, const std::string& value) {
  if (value.empty()) core::user_error("--{} is required; see --help", name);
}

}  // namespace allreco::cli
