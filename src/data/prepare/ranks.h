// PrepareRanks: what a preparation on several ranks asks of the control plane, so that the data path knows neither MPI
// nor torch. The lone rank is one implementation, dist's session (src/cli/session_ranks) another: one code path for
// both. All calls but rank, size and leave_if_peer_failed are collective, in the same order on each rank; main thread
// only.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace allreco::data {

class PrepareRanks {
 public:
  virtual ~PrepareRanks() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  bool is_leader() const { return rank() == 0; }

  /// What this rank begins, for messages about hangs. Not collective.
  virtual void enter(std::string_view phase) = 0;
  /// Inside long loops without collectives: throws when another rank failed. Cheap.
  virtual void leave_if_peer_failed() = 0;

  /// texts[r] goes to rank r; the result holds what each rank sent here. Bounded: see exchange_rounds.
  virtual std::vector<std::string> all_to_all(const std::vector<std::string>& texts) = 0;
  /// Every rank's text, in rank order.
  virtual std::vector<std::string> all_gather(const std::string& text) = 0;
  /// Element by element, in place, exact.
  virtual void all_sum(std::vector<std::int64_t>& values) = 0;
  virtual void all_min(std::vector<std::int64_t>& values) = 0;
  virtual void barrier() = 0;

  std::int64_t sum(std::int64_t value) {
    std::vector<std::int64_t> values{value};
    all_sum(values);
    return values[0];
  }
  std::int64_t max(std::int64_t value) {
    std::vector<std::int64_t> values{-value};
    all_min(values);
    return -values[0];
  }
};

/// One rank, no other.
class LoneRank final : public PrepareRanks {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void enter(std::string_view) override {}
  void leave_if_peer_failed() override {}
  std::vector<std::string> all_to_all(const std::vector<std::string>& texts) override { return texts; }
  std::vector<std::string> all_gather(const std::string& text) override { return {text}; }
  void all_sum(std::vector<std::int64_t>&) override {}
  void all_min(std::vector<std::int64_t>&) override {}
  void barrier() override {}
};

/// What moves between ranks in one round.
inline constexpr std::size_t kRoundBytes = std::size_t{1} << 20;

/// Collective. `next(text)` appends a record to `text`, or returns false when there is no more; `take` gets every
/// record's bytes in rounds: all records of all ranks, on all ranks, in the order of ranks within a round. A round
/// brings at most `round_bytes` (and a record) of all ranks together.
void gather_rounds(PrepareRanks& ranks, std::size_t round_bytes, const std::function<bool(std::string& text)>& next,
                   const std::function<void(std::string_view bytes)>& take);

/// Records on their way to other ranks: a round begins when one rank has `round_bytes` / size for another one, so that
/// none receives more than `round_bytes` in a round.
class ExchangeRounds {
 public:
  /// Gets what arrives from a rank: whole records, one after another, in the order in which it added them.
  using Take = std::function<void(int source, std::string_view bytes)>;
  ExchangeRounds(PrepareRanks& ranks, std::size_t round_bytes, Take take);

  /// Collects a record for a rank; one for this rank itself is taken at once. True: it is time to call exchange().
  bool add(int rank, std::string_view record);
  /// Collective: one round. False once all ranks have said that they are `done`; the round after which that is so
  /// brought what they had.
  bool exchange(bool done);
  std::uint64_t sent_bytes() const { return sent_bytes_; }

 private:
  PrepareRanks& ranks_;
  std::size_t bytes_per_rank_;
  Take take_;
  std::vector<std::string> outgoing_;
  std::uint64_t sent_bytes_ = 0;
};

}  // namespace allreco::data
