// The sources of prepare(), each a reader of its input and a caller of the writer. Internal to src/data/prepare*.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "data/prepare/prepare.h"
#include "data/prepare/prepare_context.h"
#include "data/store/dataset_writer.h"
#include "data/store/split_statistics.h"
#include "data/tokenizer/tokenizer.h"

namespace allreco::data {

/// What a source hands back after its examples are written.
struct Prepared {
  core::Json description;  // merged into dataset.json
  std::string summary;
};

/// Where a dataset is built by several ranks.
struct DatasetPlace {
  std::filesystem::path staging;  // of the writer; all ranks see it
  ShardIdentity identity;
  DatasetWriter* writer = nullptr;  // of the leader, else null
};

/// Collective. The shards and the catalogue are with the writer on return; what is returned is the leader's.
Prepared prepare_reviews(const PrepareConfig& config, const Tokenizer& tokenizer, const PrepareContext& context,
                         const DatasetPlace& place);
Prepared prepare_prompts(const PrepareConfig& config, const Tokenizer& tokenizer, const PrepareContext& context,
                         const DatasetPlace& place);
Prepared prepare_tokens(const PrepareConfig& config, std::int64_t vocab_size, const PrepareContext& context,
                        const DatasetPlace& place);

/// config.max_length, or kDefaultMaxLength where it is 0.
std::int64_t text_max_length(const PrepareConfig& config);

/// How many items must come before a target: min_history, or what its 0 stands for.
std::int64_t min_history_of(const PrepareConfig& config);

/// `negatives`, or what its auto stands for.
std::string negatives_of(const PrepareConfig& config);

/// The splits that get examples where they are dealt by validation_share and test_share.
std::vector<Split> splits_by_share(const PrepareConfig& config);

/// UserError that says what was dropped unless there are examples, and some in each of the `needed` splits.
void require_examples(const SplitStatistics& statistics, const std::vector<Split>& needed, const core::Json& dropped);

/// "title_missing 3, not_verified 12": the counts that are not 0, objects within objects included; "nothing" if all
/// are.
std::string list_counts(const core::Json& counts);

}  // namespace allreco::data
