#include "model/checkpoint/model_directory.h"

#include <array>
#include <string>

#include "core/check.h"
#include "core/files.h"
#include "model/checkpoint/checkpoint_checks.h"

namespace allreco::model {
namespace fs = std::filesystem;

namespace {

bool is_companion(const fs::path& file) {
  constexpr std::array kNames{
      "tokenizer.json",     "tokenizer.model",         "tokenizer_config.json", "vocab.json",
      "merges.txt",         "special_tokens_map.json", "added_tokens.json",     "generation_config.json",
      "chat_template.json", "chat_template.jinja"};
  const std::string name = file.filename().string();
  for (const char* known : kNames) {
    if (name == known) return true;
  }
  return name.starts_with("LICENSE") || name.starts_with("NOTICE");
}

}  // namespace

void copy_companions(const fs::path& from, const fs::path& to, const std::string& shown) {
  for (const fs::directory_entry& entry : fs::directory_iterator(from)) {
    if (!entry.is_regular_file() || !is_companion(entry.path())) continue;
    const fs::path target = to / entry.path().filename();
    std::error_code error;
    fs::copy_file(entry.path(), target, error);
    if (error) {
      core::user_error("cannot copy {} into {}: {}. Free some space or choose another directory", entry.path().string(),
                       shown, error.message());
    }
    core::sync_path(target);
  }
}

core::Json with_dtype(core::Json config, at::ScalarType dtype) {
  const char* key = config.contains("torch_dtype") && !config.contains("dtype") ? "torch_dtype" : "dtype";
  config[key] = dtype_name(dtype);
  return config;
}

}  // namespace allreco::model
