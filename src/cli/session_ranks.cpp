#include "cli/session_ranks.h"

#include <fmt/format.h>
#include <signal.h>

#include <cstdlib>

namespace allreco::cli {

void SessionRanks::enter(std::string_view phase) {
  session_.enter_phase(++phase_, fmt::format("prepare: {}", phase));
  const char* const victim = std::getenv("ALLRECO_TEST_KILL");
  if (victim != nullptr && fmt::format("{}@{}", phase, rank()) == victim) ::raise(SIGKILL);
}

}  // namespace allreco::cli
