// allreco: parse, session, run, one catch.
#include <chrono>
#include <exception>
#include <thread>

#include "cli/commands.h"
#include "cli/runtime.h"
#include "core/check.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/users_mistake.h"
#include "dist/session.h"

namespace {

using namespace allreco;

/// The error is the same on every rank: rank 0 says it, the others give it the time to. Shorter than the time that rank
/// 0 leaves a rank to answer when waiting has gone on for too long (dist/watchdog.cpp): this rank does not, here.
[[noreturn]] void end(dist::Session& session, int exit_code, const std::string& message) {
  if (!session.is_leader()) std::this_thread::sleep_for(std::chrono::seconds(1));
  core::write_log(core::LogLevel::error, message);
  session.abort(exit_code);
}

int run(int argc, char** argv) {
  dist::Session session(argc, argv);
  core::set_up_log(session.rank(), session.world_size());
  const cli::Arguments arguments(argv + 1, argv + argc);
  const std::string memory_advice = cli::memory_advice(arguments);
  session.set_memory_advice(memory_advice);
  try {
    int exit_code = cli::kExitFault;
    session.together(arguments.empty() ? "start" : arguments[0],
                     [&] { exit_code = cli::run_command(session, arguments); });
    return exit_code;
  } catch (const std::exception& e) {
    if (const auto mistake = core::users_mistake(e)) end(session, cli::kExitUserError, mistake->c_str());
    end(session, cli::kExitFault, core::failure_text(e, memory_advice));
  }
}

}  // namespace

int main(int argc, char** argv) {
  cli::set_up_signals();
  core::return_freed_memory();
  try {
    return run(argc, argv);
  } catch (const core::UserError& e) {  // the session itself could not start
    core::set_up_log(0, 1);
    core::write_log(core::LogLevel::error, e.what());
    return cli::kExitUserError;
  } catch (const std::exception& e) {
    core::set_up_log(0, 1);
    core::write_log(core::LogLevel::error, core::failure_text(e));
    return cli::kExitFault;
  }
}
