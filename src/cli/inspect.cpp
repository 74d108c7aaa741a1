// inspect: what is in a dataset, model, adapter or checkpoint directory, read from its files alone.
#include <c10/util/accumulate.h>

#include <filesystem>

#include "cli/bindings.h"
#include "cli/commands.h"
#include "core/check.h"
#include "core/json.h"
#include "core/log.h"
#include "data/store/dataset.h"
#include "data/store/dataset_view.h"
#include "model/checkpoint/safetensors.h"
#include "model/decoder/weights.h"
#include "model/families/config.h"
#include "model/lora/adapter.h"

namespace allreco::cli {
namespace fs = std::filesystem;

namespace {

core::Json tensors_of(const model::SafetensorsFile& file) {
  std::int64_t parameters = 0, bytes = 0;
  for (const auto& name : file.names()) {
    const at::Tensor tensor = file.tensor(name);
    parameters += tensor.numel();
    bytes += static_cast<std::int64_t>(tensor.nbytes());
  }
  return {{"tensors", file.names().size()}, {"parameters", parameters}, {"bytes", bytes}};
}

struct InspectOptions {
  std::string path;
  bool verify = false;
  std::int64_t show = 0;

  core::OptionGroups options() {
    return {{"Input",
             {{"path", path, "The directory; `allreco inspect DIR` is short for it."},
              {"verify", verify, "Of a dataset: compare every file with its checksum, and read every example."},
              {"show", show, core::between(0, 1000),
               "Of a dataset: so many examples of each split as text, with ids and labels."}}}};
  }
};

core::Json dataset_summary(const fs::path& path, const InspectOptions& options) {
  const data::DatasetInfo info = data::read_dataset_info(path);
  core::Json summary{{"kind", "dataset"},
                     {"fingerprint", info.fingerprint},
                     {"checked", data::check_dataset(info, options.verify)},
                     {"dataset", info.json}};
  if (options.show > 0) summary["examples"] = data::show_examples(info, options.show);
  return summary;
}

core::Json adapter_summary(const fs::path& path) {
  const auto config = model::read_adapter_config(path);
  return {{"kind", "adapter"},
          {"base_model_name_or_path", config.base_model_name_or_path},
          {"r", config.lora.r},
          {"lora_alpha", config.lora.lora_alpha},
          {"lora_dropout", config.lora.lora_dropout},
          {"use_rslora", config.lora.use_rslora},
          {"use_dora", config.lora.use_dora},
          {"target_modules", config.lora.target_modules},
          {"rank_pattern", config.lora.rank_pattern},
          {"alpha_pattern", config.lora.alpha_pattern},
          {"layers_to_transform", config.lora.layers_to_transform},
          {"weights", tensors_of(model::SafetensorsFile(path / "adapter_model.safetensors"))}};
}

core::Json checkpoint_summary(const fs::path& path) {
  core::Json summary = adapter_summary(path);
  summary["kind"] = "checkpoint";
  summary["optimizer"] = tensors_of(model::SafetensorsFile(path / "optimizer.safetensors"));
  summary["trainer_state"] = core::read_json_file(path / "trainer_state.json");
  return summary;
}

core::Json model_summary(const fs::path& path) {
  const model::ModelConfig config = model::read_model_config(path);
  const model::Checkpoint checkpoint(path);
  std::int64_t parameters = 0, bytes = 0;
  for (const auto& name : checkpoint.names()) bytes += static_cast<std::int64_t>(checkpoint.tensor(name).nbytes());
  for (const model::TensorSpec& spec : model::expected_tensors(config))
    parameters += c10::multiply_integers(spec.shape);
  core::Json summary{{"kind", "model"}};
  summary.update(model::to_json(config));
  summary.update({{"max_position_embeddings", config.max_position_embeddings},
                  {"quantization", config.quantization ? config.quantization->bnb_4bit_quant_type : "none"},
                  {"tensors", checkpoint.names().size()},
                  {"parameters", parameters},
                  {"bytes", bytes}});
  return summary;
}

/// In ASCII: what names and titles hold is escaped as JSON does it, and the output stays JSON.
std::string json_text(const core::Json& json) {
  return json.dump(2, ' ', /*ensure_ascii=*/true, core::Json::error_handler_t::replace) + "\n";
}

core::Json summary_of(const InspectOptions& options) {
  const fs::path path = options.path;
  if (!fs::is_directory(path))
    core::user_error("{} is not a directory; give a dataset, model, adapter or checkpoint directory", path.string());
  if (fs::exists(path / "dataset.json")) return dataset_summary(path, options);
  if (options.verify || options.show > 0)
    core::user_error("{} is no dataset: verify and show are for datasets", path.string());
  if (fs::exists(path / "trainer_state.json")) return checkpoint_summary(path);
  if (fs::exists(path / "adapter_config.json")) return adapter_summary(path);
  if (fs::exists(path / "config.json")) return model_summary(path);
  core::user_error(
      "{} holds none of dataset.json, trainer_state.json, adapter_config.json, config.json: nothing that inspect knows",
      path.string());
}

}  // namespace

int inspect_command(dist::Session& session, const Arguments& arguments) {
  InspectOptions options;
  OptionList list("allreco inspect", "Shows what is in a dataset, model, adapter or checkpoint directory, as JSON.",
                  {options.options()});
  Arguments given = arguments;
  if (!given.empty() && !given[0].starts_with("--")) given.insert(given.begin(), "--path");
  if (!parse_or_help(list, given, session)) return kExitDone;
  require_option("path", options.path);
  core::check_options(options);
  if (session.is_leader()) core::write_output(json_text(summary_of(options)));
  return kExitDone;
}

}  // namespace allreco::cli
