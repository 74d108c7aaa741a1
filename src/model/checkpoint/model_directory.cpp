#include "model/checkpoint/model_directory.h"

#include <array>
#include <string>

#include "core/check.h"
#include "core/files.h"
#include "model/checkpoint/checkpoint_checks.h"

namespace allreco::model {
namespace fs = std::filesystem;

namespace {

/// LICENSES/ and the like are passed over; a directory in the place of a tokenizer file is not.
bool is_companion(const fs::directory_entry& entry) {
  constexpr std::array kNames{
      "tokenizer.json",     "tokenizer.model",         "tokenizer_config.json", "vocab.json",
      "merges.txt",         "special_tokens_map.json", "added_tokens.json",     "generation_config.json",
      "chat_template.json", "chat_template.jinja"};
  const std::string name = entry.path().filename().string();
  for (const char* known : kNames) {
    if (name == known) return true;
  }
  return (name.starts_with("LICENSE") || name.starts_with("NOTICE")) && !entry.is_directory();
}

/// Where links of a model's files may lead: the model's own directory, or, where it is a snapshot in Hugging Face's
/// cache (models--ORG--NAME/snapshots/REVISION, whose files are links into blobs/), that model's part of the cache.
fs::path home_of(const fs::path& directory) {
  const fs::path own = fs::canonical(directory);
  const fs::path model = own.parent_path().parent_path();
  const bool is_snapshot =
      own.parent_path().filename() == "snapshots" && model.filename().string().starts_with("models--");
  return is_snapshot ? model : own;
}

}  // namespace

void require_own_file(const fs::path& file, const fs::path& directory) {
  std::error_code error;
  const fs::path target = fs::canonical(file, error);
  if (error) core::user_error("{} is a link to nothing: remove it", file.string());
  if (*target.lexically_relative(home_of(directory)).begin() != "..") return;
  core::user_error("{} is a link that leads out of its model, to {}: put the file itself there, or remove the link",
                   file.string(), target.string());
}

void copy_companions(const fs::path& from, const fs::path& to, const std::string& shown) {
  for (const fs::directory_entry& entry : fs::directory_iterator(from)) {
    if (!is_companion(entry)) continue;
    require_own_file(entry.path(), from);
    core::copy_file(entry.path(), to / entry.path().filename(), shown);
  }
}

core::Json with_dtype(core::Json config, at::ScalarType dtype) {
  const char* key = config.contains("torch_dtype") && !config.contains("dtype") ? "torch_dtype" : "dtype";
  config[key] = dtype_name(dtype);
  return config;
}

}  // namespace allreco::model
