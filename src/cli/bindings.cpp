#include "cli/bindings.h"

#include <fmt/ranges.h>

#include <charconv>

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

namespace {

template <class Value>
Value parse_value(const std::string& option, const std::string& text, const char* kind) {
  Value value{};
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stopped != end) core::user_error("{}: {} is not {}", option, text, kind);
  return value;
}

/// k_proj=4,v_proj=8. A piece without = belongs to the key that goes on after the comma: q{1,2}=4.
template <class Value>
TextForm pattern_form(const std::string& option, model::LoraPattern<Value>& field, const char* kind) {
  const auto set = [option, &field, kind](const std::string& text) {
    field.clear();
    std::string key;
    for (const std::string& piece : split_list(text)) {
      key += (key.empty() ? "" : ",") + piece;
      const size_t equals = piece.rfind('=');
      if (equals == std::string::npos) continue;
      const size_t end = key.size() - (piece.size() - equals);
      field.emplace_back(key.substr(0, end), parse_value<Value>(option, piece.substr(equals + 1), kind));
      key.clear();
    }
    if (!key.empty()) core::user_error("{} = {}: {} has no =value", option, text, key);
  };
  const auto get = [&field] {
    std::string text;
    for (const auto& [key, value] : field) text += fmt::format("{}{}={}", text.empty() ? "" : ",", key, value);
    return text;
  };
  return {"key=value, comma-separated", set, get};
}

TextForm numbers_form(const std::string& option, std::vector<std::int64_t>& field) {
  const auto set = [option, &field](const std::string& text) {
    field.clear();
    for (const std::string& part : split_list(text))
      field.push_back(parse_value<std::int64_t>(option, part, "a whole number"));
  };
  return {"comma-separated", set, [&field] { return fmt::format("{}", fmt::join(field, ",")); }};
}

void bind_modules(OptionList& list, model::LoraConfig& config) {
  list.add(
      "target_modules", config.target_modules,
      "Projections that get factors: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, or ends of paths "
      "like layers.0.mlp.up_proj; all-linear; or one regular expression for whole paths, as in PEFT.");
  list.add("exclude_modules", config.exclude_modules, "Projections that get none all the same, written likewise.");
  list.add("layers_to_transform", numbers_form("layers_to_transform", config.layers_to_transform),
           "Only these layers get factors, counted from 0; empty: all. Not with a regular expression.");
  list.add(
      "rank_pattern", pattern_form("rank_pattern", config.rank_pattern, "a whole number"),
      "Other ranks for some projections, as in k_proj=4,layers.0.mlp.up_proj=8; the keys are regular expressions for "
      "the ends of paths.");
  list.add("alpha_pattern", pattern_form("alpha_pattern", config.alpha_pattern, "a number"),
           "The same for lora_alpha.");
}

}  // namespace

void bind(OptionList& list, model::LoraConfig& config) {
  list.add("lora_r", config.r, "LoRA's rank.", at_least(1));
  list.add("lora_alpha", config.lora_alpha, "LoRA's scale is lora_alpha / lora_r.", at_least(0));
  list.add("lora_dropout", config.lora_dropout, "Dropout on the input of the LoRA factors.", between(0, 0.999));
  list.add("use_rslora", config.use_rslora, "Scale by lora_alpha / sqrt(lora_r) instead.");
  list.add("use_dora", config.use_dora, "DoRA: also learn a magnitude for each output of a projection.");
  list.add("init_lora_weights", config.init_lora_weights,
           "How factors start. true: A uniform, B zero; gaussian: A normal, B zero; false: B uniform, too; pissa, "
           "pissa_niter_N (faster, N power iterations) or olora: from the weights.");
  bind_modules(list, config);
}

bool parse_or_help(OptionList& list, const std::vector<std::string>& arguments, const dist::Session& session) {
  if (list.parse(arguments)) return true;
  if (session.is_leader()) core::write_output(list.help());
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
