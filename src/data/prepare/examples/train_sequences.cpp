#include "data/prepare/examples/train_sequences.h"

#include <fmt/format.h>

#include "core/interrupt.h"
#include "data/store/lines_writer.h"

namespace allreco::data {
namespace fs = std::filesystem;

void write_train_sequences(const PrepareContext& context, const fs::path& staging, const SplitPlan& plan,
                           const ShopperStore& store, DatasetWriter* writer) {
  if (!plan.has_train_part()) return;
  PrepareRanks& ranks = context.ranks;
  const auto path_of = [&](int rank) { return staging / fmt::format("train_sequences-{}.part", rank); };
  LinesWriter part(path_of(ranks.rank()));
  std::vector<std::int64_t> counts(static_cast<std::size_t>(ranks.size()));
  std::vector<std::uint32_t> items;
  store.for_each([&](const Shopper& shopper) {
    const std::size_t num_train = plan.num_train_purchases(shopper);
    if (num_train == 0) return;
    items.clear();
    for (std::size_t i = 0; i < num_train; ++i) items.push_back(shopper.purchases[i].item);
    part.append(sequence_line(items));
    ++counts[static_cast<std::size_t>(ranks.rank())];
    ranks.leave_if_peer_failed();
    core::throw_if_interrupted();
  });
  part.close();
  ranks.all_sum(counts);
  if (writer == nullptr) return;
  for (int rank = 0; rank < ranks.size(); ++rank)
    writer->adopt_train_sequences(path_of(rank), counts[static_cast<std::size_t>(rank)]);
}

}  // namespace allreco::data
