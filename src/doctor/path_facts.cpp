// The model, the dataset and the output directory as this host sees them.
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>

#include "core/check.h"
#include "core/files.h"
#include "core/mapped_file.h"
#include "data/store/dataset.h"
#include "doctor/facts.h"
#include "model/decoder/gpu_paths.h"
#include "model/families/config.h"

namespace allreco::doctor {
namespace fs = std::filesystem;

namespace {

/// By the numbers of statfs(2).
std::string file_system_of(const fs::path& path) {
  static const std::map<std::uint64_t, const char*> kNames{
      {0xef53, "ext4"},     {0x58465342, "xfs"},    {0x9123683e, "btrfs"}, {0x01021994, "tmpfs"},
      {0x6969, "nfs"},      {0x0bd00bd0, "lustre"}, {0x47504653, "gpfs"},  {0x794c7630, "overlay"},
      {0x65735546, "fuse"}, {0xff534d42, "cifs"}};
  struct statfs status {};
  if (::statfs(path.c_str(), &status) != 0) return "unknown";
  const auto found = kNames.find(static_cast<std::uint64_t>(status.f_type) & 0xffffffff);
  return found == kNames.end() ? "other" : found->second;
}

fs::path nearest_existing(fs::path path) {
  std::error_code error;
  path = fs::absolute(path, error);
  while (!fs::exists(path, error) && path.has_relative_path()) path = path.parent_path();
  return path;
}

std::string map_error_of(const fs::path& file) {
  try {
    const core::MappedFile mapped{core::InputFile(file)};
    return "";
  } catch (const std::exception& e) {
    return e.what();
  }
}

/// Files of the directory with their sizes: cheap, and different for a copy that is not finished.
void look_at_files(PathFacts& facts, const std::string& content) {
  std::map<std::string, std::uintmax_t> sizes;
  for (const auto& entry : fs::directory_iterator(facts.path)) {
    if (!entry.is_regular_file()) continue;
    sizes[entry.path().filename()] = entry.file_size();
    facts.file_bytes += static_cast<std::int64_t>(entry.file_size());
    const bool mapped = entry.path().extension() == ".safetensors" && facts.map_error.empty();
    if (mapped && entry.file_size() > 0) facts.map_error = map_error_of(entry.path());
  }
  std::string text = content;
  for (const auto& [name, size] : sizes) text += fmt::format("{} {}\n", name, size);
  facts.identity = core::sha256_of_bytes(text).substr(0, 12);
}

/// flock on a new file, as the HDF5 library does; also whether a file can be written there at all.
void try_to_write(PathFacts& facts, const fs::path& directory) {
  std::string name = (directory / ".allreco-doctor-XXXXXX").string();
  const int fd = ::mkstemp(name.data());
  if (fd < 0) {
    facts.error = fmt::format("cannot write into {}: {}", directory.string(), std::strerror(errno));
    return;
  }
  if (::write(fd, "x", 1) != 1 || ::fsync(fd) != 0)
    facts.error = fmt::format("cannot write into {}: {}", directory.string(), std::strerror(errno));
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) facts.lock_error = std::strerror(errno);
  ::close(fd);
  ::unlink(name.c_str());
}

void look(PathFacts& facts) {
  if (facts.option == "output_dir") return try_to_write(facts, nearest_existing(facts.path));
  if (!fs::is_directory(facts.path)) core::user_error("{} is not a directory", facts.path);
  if (facts.option == "dataset") return look_at_files(facts, data::read_dataset_info(facts.path).fingerprint);
  const model::ModelConfig config = model::read_model_config(facts.path);
  facts.plain_on_gpu = model::plain_on_gpu(config);
  look_at_files(facts, model::to_json(config).dump());
}

}  // namespace

PathFacts gather_path_facts(const std::string& option, const std::string& path) {
  PathFacts facts;
  facts.option = option;
  facts.path = path;
  const fs::path place = nearest_existing(path);
  facts.file_system = file_system_of(place);
  struct statvfs status {};
  if (::statvfs(place.c_str(), &status) == 0)
    facts.free_bytes = static_cast<std::int64_t>(status.f_bavail * status.f_frsize);
  try {
    look(facts);
  } catch (const std::exception& e) {
    facts.error = e.what();
  }
  return facts;
}

}  // namespace allreco::doctor
