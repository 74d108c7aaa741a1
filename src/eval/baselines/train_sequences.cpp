#include "eval/baselines/train_sequences.h"

#include <algorithm>
#include <unordered_map>

namespace allreco::eval {

namespace {

using Sequence = std::vector<std::uint32_t>;

/// Adds what `example` shows beyond the sequence; false: it does not go on from it.
bool extend(Sequence& sequence, const data::Example& example) {
  const auto known = std::find(example.history.rbegin(), example.history.rend(), sequence.back());
  if (known == example.history.rend()) return false;
  sequence.insert(sequence.end(), known.base(), example.history.end());
  sequence.push_back(*example.target);
  return true;
}

struct Dated {
  std::int64_t timestamp;
  std::uint32_t target;
};

std::vector<std::int64_t> count_recent(std::vector<Dated> dated, std::size_t num_items) {
  if (dated.empty()) return {};
  const auto newest = static_cast<std::ptrdiff_t>(kRecentShare * static_cast<double>(dated.size()));
  const auto first = dated.end() - std::max<std::ptrdiff_t>(newest, 1);
  const auto is_older = [](const Dated& a, const Dated& b) { return a.timestamp < b.timestamp; };
  std::nth_element(dated.begin(), first, dated.end(), is_older);
  const std::int64_t from = first->timestamp;
  std::vector<std::int64_t> counts(num_items);
  for (const Dated& d : dated) counts[d.target] += d.timestamp >= from;
  return counts;
}

}  // namespace

TrainSequences read_train_sequences(const data::DatasetInfo& info) {
  TrainSequences train;
  const auto none = [&](const char* why) {
    train.not_applicable = why;
    return train;
  };
  if (!data::has_split(info, "train")) return none("the dataset has no train split");
  const data::Dataset dataset(info.directory, "train", /*verify_checksums=*/false);
  if (!dataset.has_histories()) return none("the dataset does not say what histories hold");
  const auto num_items = static_cast<std::size_t>(info.num_items);
  train.purchases.resize(num_items);
  auto listed = data::read_listed_train_sequences(info);
  if (listed) train.sequences = std::move(*listed);
  std::unordered_map<std::uint64_t, std::size_t> newest_of_user;  // index in train.sequences
  std::vector<Dated> dated;
  for (std::int64_t i = 0; i < dataset.size(); ++i) {
    const data::Example example = dataset.example(i);
    if (!example.target || *example.target >= num_items) continue;
    if (example.timestamp) dated.push_back({*example.timestamp, *example.target});
    if (listed && !example.timestamp) break;  // then none has one, and nothing else is asked of them
    if (listed) continue;
    const auto known = example.user ? newest_of_user.find(*example.user) : newest_of_user.end();
    if (known != newest_of_user.end() && extend(train.sequences[known->second], example)) continue;
    if (example.user) newest_of_user[*example.user] = train.sequences.size();
    train.sequences.push_back(example.history);
    train.sequences.back().push_back(*example.target);
  }
  if (train.sequences.empty()) return none("no example of the train split says which item was bought");
  for (const Sequence& sequence : train.sequences)
    for (const std::uint32_t item : sequence) ++train.purchases.at(item);
  train.recent_targets = count_recent(std::move(dated), num_items);
  return train;
}

}  // namespace allreco::eval
