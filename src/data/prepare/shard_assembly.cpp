#include "data/prepare/shard_assembly.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "core/interrupt.h"
#include "core/ordered_work.h"
#include "data/prepare/splits.h"
#include "data/store/lines_writer.h"

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

/// Each shard to whom has the fewest examples so far, the largest first: result[i] = the rank that writes shard i.
std::vector<int> deal_shards(const std::vector<PlannedShard>& shards, int num_ranks) {
  std::vector<std::size_t> order(shards.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return shards[a].count > shards[b].count; });
  std::vector<std::int64_t> loads(static_cast<std::size_t>(num_ranks));
  std::vector<int> writers(shards.size());
  for (const std::size_t shard : order) {
    const auto least = std::min_element(loads.begin(), loads.end());
    *least += shards[shard].count;
    writers[shard] = static_cast<int>(least - loads.begin());
  }
  return writers;
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
  const std::vector<int> writers = deal_shards(shards, ranks.size());
  for (std::size_t i = 0; i < shards.size(); ++i) {
    if (writers[i] != ranks.rank()) continue;
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

void assemble_catalogue(const PrepareContext& context, const fs::path& staging, std::size_t num_items,
                        const std::function<Item(std::size_t id)>& item_at, DatasetWriter* writer) {
  constexpr std::size_t kItemsAtOnce = 256;
  PrepareRanks& ranks = context.ranks;
  const auto first_of = [&](int rank) {
    return num_items * static_cast<std::size_t>(rank) / static_cast<std::size_t>(ranks.size());
  };
  const auto path_of = [&](int rank) { return staging / fmt::format("items-{}.part", rank); };
  LinesWriter part(path_of(ranks.rank()));
  const std::size_t end = first_of(ranks.rank() + 1);
  core::OrderedWork<std::size_t, std::string> work(
      context.num_threads, 4 * static_cast<std::size_t>(context.num_threads),
      [&](std::size_t& first) {
        std::string lines;
        for (std::size_t i = first; i < std::min(first + kItemsAtOnce, end); ++i) lines += item_line(item_at(i));
        return lines;
      },
      [&](std::string& lines) {
        part.append(lines);
        ranks.leave_if_peer_failed();
        core::throw_if_interrupted();
      });
  for (std::size_t i = first_of(ranks.rank()); i < end; i += kItemsAtOnce) work.push(i);
  work.finish();
  part.close();
  ranks.barrier();
  if (writer == nullptr) return;
  for (int rank = 0; rank < ranks.size(); ++rank)
    writer->adopt_items(path_of(rank), static_cast<std::int64_t>(first_of(rank + 1) - first_of(rank)));
}

}  // namespace allreco::data
