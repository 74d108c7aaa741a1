// Runs GoogleTest inside a session, on one rank or under mpirun; or, with --scenario=NAME, a run that tests start as a
// whole.
#include <gtest/gtest.h>

#include <cstdio>
#include <exception>
#include <string_view>

#include "core/check.h"
#include "core/log.h"
#include "dist/test_session.h"

namespace allreco::dist {
namespace {

Session* session_of_process = nullptr;

/// After a fatal failure this rank is no longer in step with the others: end them all rather than wait for a timeout.
class AbortOnFatalFailure final : public ::testing::EmptyTestEventListener {
  void OnTestPartResult(const ::testing::TestPartResult& result) override {
    if (!result.fatally_failed() || test_session().world_size() == 1) return;
    std::fprintf(stderr, "rank %d: %s:%d: %s\n", test_session().rank(), result.file_name(), result.line_number(),
                 result.message());
    test_session().abort(1);
  }
};

int run_tests(Session& session) {
  session.set_timeout(60);
  ::testing::TestEventListeners& listeners = ::testing::UnitTest::GetInstance()->listeners();
  listeners.Append(new AbortOnFatalFailure);
  return RUN_ALL_TESTS();
}

int run(Session& session, int argc, char** argv) {
  constexpr std::string_view scenario = "--scenario=";
  core::set_up_log(session.rank(), session.world_size());
  try {
    if (argc > 1 && std::string_view(argv[1]).starts_with(scenario))
      return run_scenario(session, argv[1] + scenario.size());
    return run_tests(session);
  } catch (const core::UserError& e) {
    core::log_error("{}", e.what());
    session.abort(2);
  } catch (const std::exception& e) {
    core::log_error("{}", e.what());
    session.abort(1);
  }
}

}  // namespace

Session& test_session() { return *session_of_process; }

}  // namespace allreco::dist

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  try {
    allreco::dist::Session session(argc, argv);
    allreco::dist::session_of_process = &session;
    return allreco::dist::run(session, argc, argv);
  } catch (const std::exception& e) {  // the session could not start
    std::fprintf(stderr, "%s\n", e.what());
    return 2;
  }
}
