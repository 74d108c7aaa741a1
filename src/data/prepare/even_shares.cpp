#include "data/prepare/even_shares.h"

#include <vector>

#include "core/interrupt.h"

namespace allreco::data {

EvenShares::EvenShares(const PrepareContext& context, std::int64_t cost)
    : rank_(context.ranks.rank()), size_(context.ranks.size()), own_(cost) {
  std::vector<std::int64_t> costs(static_cast<std::size_t>(size_));
  costs[static_cast<std::size_t>(rank_)] = cost;
  context.ranks.all_sum(costs);
  for (int rank = 0; rank < size_; ++rank) {
    if (rank == rank_) first_ = total_;
    total_ += costs[static_cast<std::size_t>(rank)];
  }
}

bool EvenShares::keeps_all() const { return own_ == 0 || (worker_of(0) == rank_ && worker_of(own_ - 1) == rank_); }

void EvenShares::hand_over(const PrepareContext& context, const std::function<void(const Send&)>& send_all) {
  if (size_ == 1) return;
  ExchangeRounds rounds(context.ranks, context.memory.round(), [&](int source, std::string_view bytes) {
    const std::uint64_t memory = context.memory.limit == 0 ? core::Spool::kAlwaysInMemory : 0;
    received_.try_emplace(source, context.memory.spill_directory, memory).first->second.append(bytes);
  });
  if (!keeps_all())
    send_all([&](int worker, std::string_view record) {
      core::throw_if_interrupted();
      if (rounds.add(worker, record)) rounds.exchange(false);
    });
  while (rounds.exchange(true)) {
  }
}

void EvenShares::for_each(const std::function<void(core::SpoolReader&)>& read, const std::function<void()>& own) const {
  const auto read_all = [&](auto begin, auto end) {
    for (; begin != end; ++begin)
      for (core::SpoolReader reader(begin->second); !reader.at_end();) read(reader);
  };
  read_all(received_.begin(), received_.lower_bound(rank_));
  own();
  read_all(received_.upper_bound(rank_), received_.end());
}

}  // namespace allreco::data
