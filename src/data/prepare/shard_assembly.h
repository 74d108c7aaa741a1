// From the ranks' parts to shards: each rank writes some of them.
#pragma once
#include <filesystem>
#include <vector>

#include "data/prepare/review_intake.h"
#include "data/store/dataset_writer.h"
#include "data/store/example_parts.h"

namespace allreco::data {

/// This rank's writers, in the order of kSplits, of files in `staging`, which all ranks see.
std::vector<ExamplePartWriter> open_parts(const std::filesystem::path& staging, int rank);

/// Collective. Cuts the splits into shards of `examples_per_shard`, which the ranks take in turn, removes the parts,
/// and hands the shards to `writer`, which the leader alone has (else null).
void assemble_shards(const PrepareContext& context, const std::filesystem::path& staging,
                     const std::vector<ExamplePartWriter>& mine, const ShardIdentity& identity,
                     std::int64_t examples_per_shard, DatasetWriter* writer);

}  // namespace allreco::data
