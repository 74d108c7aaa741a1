#include "data/prepare/rows/row_examples.h"

#include <fmt/format.h>

#include <vector>

#include "core/interrupt.h"
#include "data/prepare/shard_assembly.h"

namespace allreco::data {

RowExamples::RowExamples(const PrepareContext& context, const DatasetPlace& place)
    : context_(context),
      place_(place),
      path_(place.staging / fmt::format("rows.examples-{}", context.ranks.rank())),
      waiting_(path_) {}

SplitStatistics RowExamples::deal(std::vector<ExamplePartWriter>& parts,
                                  const std::function<Split(std::size_t i)>& split_of,
                                  const std::function<void(Split split, Example& example)>& change) {
  SplitStatistics statistics;
  waiting_.close();
  if (size() == 0) return statistics;
  const std::vector<std::filesystem::path> paths{path_};
  const std::vector<ExamplePart> waiting{waiting_.part()};
  ExampleCursor cursor(paths, waiting, 0);
  Example example;
  std::string packed;
  for (std::size_t i = 0; i < static_cast<std::size_t>(size()); ++i) {
    if (i % static_cast<std::size_t>(ExamplePart::kStride) == 0) {
      context_.ranks.leave_if_peer_failed();
      core::throw_if_interrupted();
    }
    cursor.next(example);
    const Split split = split_of(i);
    change(split, example);
    statistics.add(split, example);
    packed.clear();
    pack_example(example, packed);
    parts[static_cast<std::size_t>(split)].append(packed);
  }
  return statistics;
}

SplitStatistics RowExamples::write(std::int64_t examples_per_shard, const std::function<Split(std::size_t i)>& split_of,
                                   const std::function<void(Split split, Example& example)>& change) {
  std::vector<ExamplePartWriter> parts = open_parts(place_.staging, context_.ranks.rank());
  const SplitStatistics statistics = deal(parts, split_of, change);
  std::filesystem::remove(path_);
  for (ExamplePartWriter& part : parts) part.close();
  assemble_shards(context_, place_.staging, parts, place_.identity, examples_per_shard, place_.writer);
  return joined(context_.ranks, statistics);
}

SplitStatistics joined(PrepareRanks& ranks, const SplitStatistics& mine) {
  SplitStatistics all;
  for (const std::string& text : ranks.all_gather(mine.to_json().dump()))
    all.merge(SplitStatistics::from_json(core::Json::parse(text)));
  return all;
}

}  // namespace allreco::data
