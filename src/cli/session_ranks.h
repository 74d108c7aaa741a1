// SessionRanks: PrepareRanks over dist's session.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "data/prepare/ranks.h"
#include "dist/exchange.h"
#include "dist/session.h"

namespace allreco::cli {

class SessionRanks final : public data::PrepareRanks {
 public:
  /// Collective.
  explicit SessionRanks(dist::Session& session) : session_(session), exchange_(session) {}

  int rank() const override { return session_.rank(); }
  int size() const override { return session_.world_size(); }
  /// The test of killed ranks sets ALLRECO_TEST_KILL=PHASE@RANK: that rank dies there.
  void enter(std::string_view phase) override;
  void leave_if_peer_failed() override { exchange_.leave_if_peer_failed(); }
  std::vector<std::string> all_to_all(const std::vector<std::string>& texts) override {
    return exchange_.all_to_all(texts);
  }
  std::vector<std::string> all_gather(const std::string& text) override { return session_.all_gather(text); }
  void all_sum(std::vector<std::int64_t>& values) override { exchange_.all_reduce(values, dist::Reduction::sum); }
  void all_min(std::vector<std::int64_t>& values) override { exchange_.all_reduce(values, dist::Reduction::minimum); }
  void barrier() override { session_.barrier(); }

 private:
  dist::Session& session_;
  dist::Exchange exchange_;
  std::int64_t phase_ = 0;
};

}  // namespace allreco::cli
