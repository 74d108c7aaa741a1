// RowExamples: examples of ready rows on their way to their splits, which are known only when all rows are.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "data/prepare/prepare_sources.h"
#include "data/prepare/splits.h"
#include "data/store/example_parts.h"
#include "data/store/split_statistics.h"

namespace allreco::data {

class RowExamples {
 public:
  RowExamples(const PrepareContext& context, const DatasetPlace& place);

  /// This rank's next ones, packed (pack_example). They wait on disk.
  void append(std::string_view packed) { waiting_.append(packed); }
  std::int64_t size() const { return waiting_.part().num_examples; }

  /// Collective, once: writes the shards. Example i of this rank goes to split_of(i); `change` may change it before.
  /// Returns what all ranks' examples are.
  SplitStatistics write(std::int64_t examples_per_shard, const std::function<Split(std::size_t i)>& split_of,
                        const std::function<void(Split split, Example& example)>& change);

 private:
  SplitStatistics deal(std::vector<ExamplePartWriter>& parts, const std::function<Split(std::size_t i)>& split_of,
                       const std::function<void(Split split, Example& example)>& change);

  const PrepareContext& context_;
  const DatasetPlace& place_;
  std::filesystem::path path_;
  ExamplePartWriter waiting_;
};

/// Collective.
SplitStatistics joined(PrepareRanks& ranks, const SplitStatistics& mine);

}  // namespace allreco::data
