// From the ranks' parts to shards and the catalogue: each rank writes some of them.
#pragma once
#include <cstddef>
#include <filesystem>
#include <functional>
#include <vector>

#include "data/prepare/prepare_context.h"
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

/// Collective. `item_at` gives the catalogue's items by their ids; each rank calls it, on any of its threads, for a
/// range of them, whose lines it writes, and `writer` gets them all.
void assemble_catalogue(const PrepareContext& context, const std::filesystem::path& staging, std::size_t num_items,
                        const std::function<Item(std::size_t id)>& item_at, DatasetWriter* writer);

}  // namespace allreco::data
