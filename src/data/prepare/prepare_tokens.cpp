#include <fmt/format.h>

#include <string>
#include <vector>

#include "data/input/token_rows.h"
#include "data/prepare/prepare_sources.h"
#include "data/prepare/rows/row_examples.h"
#include "data/prepare/rows/row_reading.h"
#include "data/prepare/rows/row_splits.h"

namespace allreco::data {
using core::Json;

namespace {

/// What a thread makes of some rows.
struct TokenBatch {
  std::string examples;  // packed
  std::vector<RowKey> keys;
  std::int64_t too_long = 0;
};

}  // namespace

Prepared prepare_tokens(const PrepareConfig& config, std::int64_t vocab_size, const PrepareContext& context,
                        const DatasetPlace& place) {
  RowReading reading(context, config.tokens, config.max_bad_line_share);
  RowSplits splits(config, RowSplits::Default::rows);
  RowExamples examples(context, place);
  std::int64_t num_too_long = 0;
  const auto parse = [&](const Json& row, RowPlace row_place, TokenBatch& batch) {
    Example example;
    RowKey key;
    key.place = row_place.packed();
    std::string problem = parse_token_row(row, vocab_size, example);
    if (problem.empty()) problem = parse_split(row, key.stated);
    if (!problem.empty()) return problem;
    if (config.max_length > 0 && std::ssize(example.tokens) > config.max_length) {
      ++batch.too_long;
    } else {
      pack_example(example, batch.examples);
      batch.keys.push_back(key);
    }
    return problem;
  };
  context.ranks.enter("read");
  context.progress.timed("read and parse", [&] {
    reading.run<TokenBatch>(parse, [&](TokenBatch& batch) {
      examples.append(batch.examples);
      for (const RowKey& key : batch.keys) splits.add(key);
      num_too_long += batch.too_long;
    });
  });
  const Json lines = context.progress.timed("wait for others", [&] { return reading.report(); });
  const Json dropped = {{"malformed_lines", reading.num_bad()}, {"too_long", context.ranks.sum(num_too_long)}};
  splits.deal(context.ranks, [](std::uint64_t) { return std::string(); });
  const SplitStatistics statistics = context.progress.timed("write", [&] {
    return examples.write(
        config.examples_per_shard, [&](std::size_t i) { return splits.of(i); }, [](Split, Example&) {});
  });
  require_examples(statistics, splits.needed_splits(), dropped);

  Prepared prepared;
  prepared.description = {
      {"source", "tokens"},
      {"split_method", splits.description()},
      {"counts", {{"rows", reading.num_lines()}, {"examples", statistics.num_examples()}, {"dropped", dropped}}},
      {"lines", Json::array({lines})},
      {"token_lengths", statistics.token_lengths()}};
  prepared.summary = fmt::format("{} rows of tokens: {} examples ({}). Dropped: {}", reading.num_lines(),
                                 statistics.num_examples(), statistics.summary(), list_counts(dropped));
  return prepared;
}

}  // namespace allreco::data
