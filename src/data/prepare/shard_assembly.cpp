#include "data/prepare/shard_assembly.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/interrupt.h"
#include "data/prepare/splits.h"

namespace allreco::data {
namespace fs = std::filesystem;
using core::Json;

namespace {

fs::path part_path(const fs::path& staging, Split split, int rank) {
  return staging / fmt::format("{}.examples-{}", name_of(split), rank);
}

/// Every rank's part of each split, in the order of kSplits.
std::vector<std::vector<ExamplePart>> gather_parts(PrepareRanks& ranks, const std::vector<ExamplePartWriter>& mine) {
  std::vector<std::vector<ExamplePart>> parts(kSplits.size());
  for (std::size_t split = 0; split < kSplits.size(); ++split) {
    const ExamplePart& part = mine[split].part();
    const std::vector<std::uint8_t> packed = Json::to_cbor({part.num_examples, part.offsets});
    for (const std::string& text : ranks.all_gather(std::string(packed.begin(), packed.end()))) {
      const Json json = Json::from_cbor(text);
      parts[split].push_back({json[0].get<std::int64_t>(), json[1].get<std::vector<std::uint64_t>>()});
    }
  }
  return parts;
}

struct PlannedShard {
  std::size_t split = 0, index = 0;
  std::int64_t first = 0, count = 0;
};

std::vector<PlannedShard> plan_shards(const std::vector<std::vector<ExamplePart>>& parts,
                                      std::int64_t examples_per_shard) {
  std::vector<PlannedShard> shards;
  for (std::size_t split = 0; split < parts.size(); ++split) {
    std::int64_t total = 0;
    for (const ExamplePart& part : parts[split]) total += part.num_examples;
    for (std::int64_t first = 0; first < total; first += examples_per_shard)
      shards.push_back({split, static_cast<std::size_t>(first / examples_per_shard), first,
                        std::min(examples_per_shard, total - first)});
  }
  return shards;
}

Json shard_to_json(const FinishedShard& shard) {
  const ShardTotals& t = shard.totals;
  return {t.examples, t.tokens, t.supervised_tokens, t.largest_item, t.longest, shard.sha256, shard.bytes};
}

FinishedShard shard_from_json(const Json& json) {
  return {{json[0].get<std::int64_t>(), json[1].get<std::int64_t>(), json[2].get<std::int64_t>(),
           json[3].get<std::int64_t>(), json[4].get<std::int64_t>()},
          json[5].get<std::string>(),
          json[6].get<std::int64_t>()};
}

}  // namespace

std::vector<ExamplePartWriter> open_parts(const fs::path& staging, int rank) {
  std::vector<ExamplePartWriter> parts;
  for (const Split split : kSplits) parts.emplace_back(part_path(staging, split, rank));
  return parts;
}

void assemble_shards(const PrepareContext& context, const fs::path& staging, const std::vector<ExamplePartWriter>& mine,
                     const ShardIdentity& identity, std::int64_t examples_per_shard, DatasetWriter* writer) {
  PrepareRanks& ranks = context.ranks;
  ranks.enter("write");
  const auto parts = gather_parts(ranks, mine);
  const auto shards = plan_shards(parts, examples_per_shard);
  std::vector<std::vector<fs::path>> paths(kSplits.size());
  for (std::size_t split = 0; split < kSplits.size(); ++split)
    for (int rank = 0; rank < ranks.size(); ++rank) paths[split].push_back(part_path(staging, kSplits[split], rank));
  const auto look_around = [&] {
    ranks.leave_if_peer_failed();
    core::throw_if_interrupted();
  };
  Json written = Json::array();
  for (std::size_t i = static_cast<std::size_t>(ranks.rank()); i < shards.size();
       i += static_cast<std::size_t>(ranks.size())) {
    const PlannedShard& shard = shards[i];
    const fs::path file =
        staging / DatasetWriter::unfinished_name(std::string(name_of(kSplits[shard.split])), shard.index);
    written.push_back({i, shard_to_json(write_shard(paths[shard.split], parts[shard.split], shard.first, shard.count,
                                                    identity, file, look_around))});
  }
  std::vector<FinishedShard> all(shards.size());
  for (const std::string& text : ranks.all_gather(written.dump()))
    for (const Json& entry : Json::parse(text)) all[entry[0].get<std::size_t>()] = shard_from_json(entry[1]);
  for (const Split split : kSplits) fs::remove(part_path(staging, split, ranks.rank()));
  ranks.barrier();
  if (writer == nullptr) return;
  for (std::size_t i = 0; i < shards.size(); ++i)
    writer->adopt(std::string(name_of(kSplits[shards[i].split])), shards[i].index, all[i]);
}

}  // namespace allreco::data
