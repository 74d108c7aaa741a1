#include "cli/bindings.h"

#include <fmt/core.h>

#include "cli/runtime.h"
#include "core/check.h"
#include "core/log.h"

namespace allreco::cli {

core::OptionGroups RuntimeOptions::options() {
  return {{"Process",
           {{"threads", threads, core::between(0, kMostThreads),
             "Threads of each rank; 0: OMP_NUM_THREADS, or else the cores this process may use, shared with the ranks "
             "of its node that may use them, too."},
            {"log_level", log_level, {"debug", "info", "warning", "error"}, "How much to log."}}}};
}

void apply(const RuntimeOptions& options, dist::Session& session) {
  core::set_up_log(session.rank(), session.world_size(), options.log_level);
  const std::int64_t threads = set_up_threads(options.threads, session);
  core::log_info("{} rank(s), {} thread(s) each", session.world_size(), threads);
}

bool parse_or_help(OptionList& list, const std::vector<std::string>& arguments, const dist::Session& session) {
  if (list.parse(arguments)) return true;
  if (session.is_leader()) core::write_output(list.help());
  return false;
}

void require_one_rank(const dist::Session& session, const std::string& command) {
  if (session.world_size() == 1) return;
  core::user_error("{} runs as one process, found {} ranks: call it without mpirun", command, session.world_size());
}

void require_option(const std::string& name, const std::string& value) {
  if (value.empty()) core::user_error("--{} is required; see --help", name);
}

}  // namespace allreco::cli
