// Examples on their way to shards: each rank writes those of its shoppers, split by split, to files of the directory
// that all ranks see; then shards are cut out of all of them, one after another, by any rank. So the same shards come
// of any number of ranks.
#pragma once
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/store/shard_writer.h"

namespace allreco::data {

/// Appends an example as bytes, its length first.
void pack_example(const Example& example, std::string& bytes);

/// One rank's examples of a split.
struct ExamplePart {
  static constexpr std::int64_t kStride = 1024;
  std::int64_t num_examples = 0;
  std::vector<std::uint64_t> offsets;  // of example 0, kStride, 2 kStride, ... in the file
};

class ExamplePartWriter {
 public:
  /// The file appears with the first example.
  explicit ExamplePartWriter(std::filesystem::path path) : path_(std::move(path)) {}

  /// Packed examples, whole ones. UserError when the disk is full.
  void append(std::string_view packed);
  void close();
  const ExamplePart& part() const { return part_; }

 private:
  [[noreturn]] void write_failed() const;

  std::filesystem::path path_;
  std::ofstream file_;
  std::uint64_t size_ = 0;
  ExamplePart part_;
};

/// Reads the examples of several parts, one part after another, from the `first` on.
class ExampleCursor {
 public:
  ExampleCursor(const std::vector<std::filesystem::path>& paths, const std::vector<ExamplePart>& parts,
                std::int64_t first);
  ~ExampleCursor();

  /// REQUIRES an example before the end of the last part.
  void next(Example& example);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Writes examples [first, first + count) of the parts as a shard. `at_times` is called every now and then.
FinishedShard write_shard(const std::vector<std::filesystem::path>& paths, const std::vector<ExamplePart>& parts,
                          std::int64_t first, std::int64_t count, const ShardIdentity& identity,
                          const std::filesystem::path& shard, const std::function<void()>& at_times);

}  // namespace allreco::data
