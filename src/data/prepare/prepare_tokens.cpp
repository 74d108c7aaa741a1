#include "core/check.h"
#include "data/input/json_lines.h"
#include "data/input/row_splitter.h"
#include "data/input/token_rows.h"
#include "data/prepare/prepare_sources.h"

namespace allreco::data {
using core::Json;

Prepared prepare_tokens(const PrepareConfig& config, std::int64_t vocab_size, DatasetWriter& writer) {
  SplitStatistics statistics;
  RowSplitter splitter(config, RowSplitter::Default::rows, [&](Split split, const Example& example) {
    statistics.add(split, example);
    writer.append(std::string(name_of(split)), example);
  });
  std::int64_t num_too_long = 0;
  JsonLines lines(config.tokens, config.max_bad_line_share);
  Json row;
  while (lines.next(row)) {
    Example example;
    std::optional<Split> split;
    std::string problem = parse_token_row(row, vocab_size, example);
    if (problem.empty()) problem = parse_split(row, split);
    if (!problem.empty()) {
      lines.reject(problem);
    } else if (config.max_length > 0 && std::ssize(example.tokens) > config.max_length) {
      ++num_too_long;
    } else {
      splitter.add(std::move(example), split);
    }
  }
  splitter.finish();
  const Json dropped = {{"malformed_lines", lines.num_bad()}, {"too_long", num_too_long}};
  require_examples(statistics, splitter.needed_splits(), dropped);

  Prepared prepared;
  prepared.description = {
      {"source", "tokens"},
      {"split_method", splitter.description()},
      {"counts", {{"rows", lines.num_lines()}, {"examples", statistics.num_examples()}, {"dropped", dropped}}},
      {"lines", Json::array({lines.report()})},
      {"token_lengths", statistics.token_lengths()}};
  prepared.summary = fmt::format("{} rows of tokens: {} examples ({}). Dropped: {}", lines.num_lines(),
                                 statistics.num_examples(), statistics.summary(), list_counts(dropped));
  return prepared;
}

}  // namespace allreco::data
