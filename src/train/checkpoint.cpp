#include "train/checkpoint.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <sstream>
#include <vector>

#include "core/check.h"
#include "core/files.h"
#include "core/log.h"
#include "model/checkpoint/safetensors.h"
#include "model/lora/adapter.h"
#include "train/clip.h"

namespace allreco::train {
namespace fs = std::filesystem;

namespace {

constexpr std::array kFiles{"adapter_config.json", "adapter_model.safetensors", "optimizer.safetensors",
                            "trainer_state.json"};
constexpr const char* kSums = "SHA256SUMS";
constexpr const char* kPrefix = "checkpoint-";
constexpr const char* kUnfinished = ".tmp";
constexpr const char* kReplaced =
    ".replaced.tmp";  // the former checkpoint of that step, while the new one takes its place
constexpr const char* kDeleted = ".deleted.tmp";
/// What a run writes beside its checkpoints through a file `.NAME.tmp-PID`.
constexpr std::array kWrittenAtomically{
    "adapter_config.json", "adapter_model.safetensors", "config.cfg", "train_results.json", "last", "best"};

void write_sums(const fs::path& directory) {
  std::string sums;
  for (const char* name : kFiles) sums += fmt::format("{}  {}\n", core::sha256_of_file(directory / name), name);
  core::write_file_atomically(directory / kSums, sums);
}

void rename_directory(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) core::user_error("cannot rename {} to {}: {}", from.string(), to.string(), error.message());
}

/// What cannot be removed (on a network disk somebody may still read it) is in nobody's way: no reason to fail.
void remove_or_warn(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) core::log_warning("cannot remove {}, the next save tries again: {}", path.string(), error.message());
}

bool is_interrupted_save(const std::string& name) {
  if (name.starts_with(kPrefix)) return name.ends_with(kUnfinished);
  return std::any_of(kWrittenAtomically.begin(), kWrittenAtomically.end(),
                     [&](const char* written) { return name.starts_with(fmt::format(".{}.tmp-", written)); });
}

void write_files(const fs::path& directory, const CheckpointContents& contents, const core::Json& state) {
  std::error_code error;
  fs::create_directory(directory, error);  // never its parent: an output_dir that is gone stays gone
  if (error) core::user_error("cannot create the directory {}: {}", directory.string(), error.message());
  model::save_adapter(directory, contents.store, contents.parameters, contents.frozen_pair, contents.origin);
  model::write_safetensors(directory / "optimizer.safetensors", contents.optimizer_state,
                           {{"num_updates", std::to_string(contents.num_updates)}});
  core::write_json_file(directory / "trainer_state.json", state);
  write_sums(directory);
  core::sync_path(directory);
}

/// Directory entries named checkpoint-N, largest N first.
std::vector<std::pair<std::int64_t, fs::path>> checkpoints_in(const fs::path& output_dir) {
  std::vector<std::pair<std::int64_t, fs::path>> found;
  if (!fs::is_directory(output_dir)) return found;
  for (const fs::directory_entry& entry : fs::directory_iterator(output_dir)) {
    const auto step = checkpoint_step(entry.path().filename().string());
    if (step && entry.is_directory()) found.emplace_back(*step, entry.path());
  }
  std::sort(found.rbegin(), found.rend());
  return found;
}

std::string link_target(const fs::path& link) {
  std::error_code error;
  const fs::path target = fs::read_symlink(link, error);
  return error ? std::string() : target.filename().string();
}

std::map<std::string, std::string> read_sums(const fs::path& path) {
  std::map<std::string, std::string> sums;
  std::istringstream lines(core::read_file(path));
  std::string hash, name;
  while (lines >> hash >> name) sums[name] = hash;
  return sums;
}

void copy_state(const model::SafetensorsFile& file, const std::string& name, const at::Tensor& target) {
  const at::Tensor saved = file.tensor(name);
  if (saved.sizes() != target.sizes() || saved.scalar_type() != target.scalar_type()) {
    core::user_error("{}: the tensor {} has another shape or dtype than this run's LoRA factor and optimiser ask for",
                     file.path().string(), name);
  }
  if (!all_finite(saved.contiguous()))
    core::user_error("{}: {} holds NaN or infinity; resume from an older checkpoint", file.path().string(), name);
  target.copy_(saved);
}

std::int64_t num_updates_of(const model::SafetensorsFile& file) {
  const core::Json& metadata = file.metadata();
  const core::Json value = metadata.is_object() ? metadata.value("num_updates", core::Json()) : core::Json();
  const std::string text = value.is_string() ? value.get<std::string>() : "";
  std::int64_t number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0)
    core::user_error("{}: num_updates of its metadata is {}, expected a count", file.path().string(), value.dump());
  return number;
}

}  // namespace

std::string checkpoint_name(std::int64_t step) { return kPrefix + std::to_string(step); }

std::optional<std::int64_t> checkpoint_step(const std::string& name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  std::int64_t step = 0;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + std::string_view(kPrefix).size(), end, step);
  if (error != std::errc() || stop != end || step < 0) return std::nullopt;
  return step;
}

CheckpointContents snapshot_of(const model::LoraStore& store, const Optimizer& optimizer, model::AdapterOrigin origin) {
  const auto copy = [](const at::Tensor& tensor) { return tensor.to(at::kCPU, /*non_blocking=*/false, /*copy=*/true); };
  std::vector<at::Tensor> state;
  for (const at::Tensor& buffer : optimizer.state()) state.push_back(copy(buffer));
  const at::Tensor& pair = store.frozen_pair();  // it never changes: in host memory it needs no copy
  return {store,
          copy(store.parameters()),
          pair.defined() ? pair.to(at::kCPU) : pair,
          optimizer.named_views(state),
          optimizer.num_updates(),
          std::move(origin)};
}

void save_checkpoint(const fs::path& output_dir, std::int64_t step, const CheckpointContents& contents,
                     const core::Json& state) {
  const fs::path final_path = output_dir / checkpoint_name(step);
  const fs::path unfinished = final_path.string() + kUnfinished;
  const fs::path replaced = final_path.string() + kReplaced;
  fs::remove_all(unfinished);
  try {
    write_files(unfinished, contents, state);
    if (fs::exists(final_path)) rename_directory(final_path, replaced);
    rename_directory(unfinished, final_path);
  } catch (...) {
    std::error_code ignored;  // the first error is the one to report
    fs::remove_all(unfinished, ignored);
    throw;
  }
  core::sync_path(output_dir);
  remove_or_warn(replaced);
  update_link(output_dir, "last", final_path.filename().string());
}

void update_link(const fs::path& output_dir, const std::string& link, const std::string& name) {
  const fs::path fresh = output_dir / fmt::format(".{}.tmp-{}", link, ::getpid());
  std::error_code error;
  fs::remove(fresh, error);
  fs::create_directory_symlink(name, fresh, error);
  if (error) core::user_error("cannot create a symbolic link in {}: {}", output_dir.string(), error.message());
  rename_directory(fresh, output_dir / link);
  core::sync_path(output_dir);
}

std::optional<std::string> damage_of(const fs::path& checkpoint) {
  if (!fs::is_directory(checkpoint)) return "there is no such directory";
  if (!fs::exists(checkpoint / kSums))
    return fmt::format("{} is missing: it was never completed, or is no training checkpoint", kSums);
  const auto sums = read_sums(checkpoint / kSums);
  for (const char* name : kFiles) {
    if (!fs::exists(checkpoint / name)) return fmt::format("{} is missing", name);
    const auto sum = sums.find(name);
    if (sum == sums.end()) return fmt::format("{} has no line for {}", kSums, name);
    if (core::sha256_of_file(checkpoint / name) != sum->second) {
      return fmt::format("{} is damaged (cut short or changed: its SHA-256 is not the one in {})", name, kSums);
    }
  }
  return std::nullopt;
}

std::optional<fs::path> newest_whole_checkpoint(const fs::path& output_dir) {
  for (const auto& [step, path] : checkpoints_in(output_dir)) {
    const auto damage = damage_of(path);
    if (!damage) return path;
    core::log_warning("skipping the checkpoint {}: {}", path.string(), *damage);
  }
  return std::nullopt;
}

void delete_old_checkpoints(const fs::path& output_dir, std::int64_t limit) {
  if (limit <= 0) return;
  auto checkpoints = checkpoints_in(output_dir);
  const std::string last = link_target(output_dir / "last");
  const std::string best = link_target(output_dir / "best");
  auto num_left = static_cast<std::int64_t>(checkpoints.size());
  for (auto oldest = checkpoints.rbegin(); oldest != checkpoints.rend() && num_left > limit; ++oldest) {
    const std::string name = oldest->second.filename().string();
    if (name == last || name == best) continue;
    const fs::path doomed = oldest->second.string() + kDeleted;  // a half-deleted checkpoint must not look like one
    std::error_code error;
    fs::rename(oldest->second, doomed, error);
    if (error) {
      core::log_warning("cannot delete {}, the next save tries again: {}", oldest->second.string(), error.message());
      continue;
    }
    remove_or_warn(doomed);
    --num_left;
  }
}

void clean_up_interrupted_saves(const fs::path& output_dir) {
  if (!fs::is_directory(output_dir)) return;
  std::vector<fs::path> leftovers;
  for (const fs::directory_entry& entry : fs::directory_iterator(output_dir))
    if (is_interrupted_save(entry.path().filename().string())) leftovers.push_back(entry.path());
  for (const fs::path& path : leftovers) {
    const std::string name = path.string();
    const fs::path original = name.substr(0, name.size() - std::string_view(kReplaced).size());
    if (name.ends_with(kReplaced) && !fs::exists(original)) {
      rename_directory(path, original);
    } else {
      remove_or_warn(path);
    }
  }
}

void load_checkpoint(const fs::path& checkpoint, model::LoraStore& store, Optimizer& optimizer) {
  model::load_adapter(checkpoint, store);
  const model::SafetensorsFile file(checkpoint / "optimizer.safetensors");
  for (const model::NamedTensor& part : optimizer.named_views(optimizer.state()))
    copy_state(file, part.name, part.tensor);
  optimizer.set_num_updates(num_updates_of(file));
}

}  // namespace allreco::train
