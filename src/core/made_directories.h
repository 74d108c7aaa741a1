// MadeDirectories: directories that are made for something that may not come about.
#pragma once
#include <filesystem>
#include <vector>

namespace allreco::core {

/// Makes `directory` and its missing parents. Destroyed, it removes those of them that are empty.
class MadeDirectories {
 public:
  /// UserError when one cannot be made; then none stays.
  explicit MadeDirectories(const std::filesystem::path& directory);
  ~MadeDirectories();
  MadeDirectories(const MadeDirectories&) = delete;
  MadeDirectories& operator=(const MadeDirectories&) = delete;

 private:
  void remove_empty() noexcept;
  std::vector<std::filesystem::path> made_;  // outermost first
};

}  // namespace allreco::core
