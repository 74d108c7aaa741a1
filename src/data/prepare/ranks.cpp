#include "data/prepare/ranks.h"

#include <algorithm>
#include <utility>

namespace allreco::data {

void gather_rounds(PrepareRanks& ranks, std::size_t round_bytes, const std::function<bool(std::string& text)>& next,
                   const std::function<void(std::string_view bytes)>& take) {
  const std::size_t share = std::max<std::size_t>(1, round_bytes / static_cast<std::size_t>(ranks.size()));
  for (bool has_more = true;;) {
    std::string mine(1, '\0');  // whether there is more behind it
    while (has_more && mine.size() < share) has_more = next(mine);
    mine[0] = has_more ? '\1' : '\0';
    bool any_more = false;
    for (const std::string& text : ranks.all_gather(mine)) {
      any_more = any_more || text[0] != '\0';
      if (text.size() > 1) take(std::string_view(text).substr(1));
    }
    if (!any_more) return;
  }
}

ExchangeRounds::ExchangeRounds(PrepareRanks& ranks, std::size_t round_bytes, Take take)
    : ranks_(ranks),
      bytes_per_rank_(std::max<std::size_t>(1, round_bytes / static_cast<std::size_t>(ranks.size()))),
      take_(std::move(take)),
      outgoing_(static_cast<std::size_t>(ranks.size()), std::string(1, '\0')) {}

bool ExchangeRounds::add(int rank, std::string_view record) {
  if (rank == ranks_.rank()) {
    take_(rank, record);
    return false;
  }
  std::string& text = outgoing_[static_cast<std::size_t>(rank)];
  text += record;
  return text.size() >= bytes_per_rank_;
}

bool ExchangeRounds::exchange(bool done) {
  for (std::string& text : outgoing_) {
    text[0] = done ? '\1' : '\0';
    sent_bytes_ += text.size();
  }
  bool all_done = true;
  const std::vector<std::string> arrived = ranks_.all_to_all(outgoing_);
  for (std::size_t source = 0; source < arrived.size(); ++source) {
    all_done = all_done && arrived[source][0] == '\1';
    if (arrived[source].size() > 1) take_(static_cast<int>(source), std::string_view(arrived[source]).substr(1));
  }
  for (std::string& text : outgoing_) text.resize(1);
  return !all_done;
}

}  // namespace allreco::data
