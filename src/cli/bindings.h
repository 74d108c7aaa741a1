// Bindings that several subcommands share: which option fills which field, with its help.
#pragma once
#include <string>

#include "cli/options.h"
#include "dist/session.h"
#include "model/checkpoint/quantization.h"
#include "model/lora/lora.h"

namespace allreco::cli {

/// Options of every command that computes.
struct RuntimeOptions {
  std::int64_t threads = 0;
  std::string log_level = "info";
};
void bind(OptionList& list, RuntimeOptions& options);
/// Collective. Sets threads and log level; logs what was set.
void apply(const RuntimeOptions& options, dist::Session& session);

/// Which model, in which dtype, with which adapter.
struct ModelOptions {
  std::string model_name_or_path;
  std::string adapter_name_or_path;
  std::string dtype = "auto";
  std::string device = "auto";
  bool allow_gpu_sharing = false;
  std::string model_loading = "mmap";
  model::Quantization quantization;
};
void bind(OptionList& list, ModelOptions& options);

void bind(OptionList& list, model::Quantization& quantization);
/// All but load_in_4bit.
void bind_quantized_form(OptionList& list, model::Quantization& quantization);
void bind(OptionList& list, model::LoraConfig& config);

/// Parses; where --help is asked for, prints it on rank 0 and returns false.
bool parse_or_help(OptionList& list, const std::vector<std::string>& arguments, const dist::Session& session);

/// UserError under mpirun with more than one rank.
void require_one_rank(const dist::Session& session, const std::string& command);

/// UserError naming the option unless it has a value.
void require_option(const std::string& name, const std::string& value);

}  // namespace allreco::cli
