#include "data/prepare/prepare.h"

#include <ATen/Parallel.h>

#include "cli/bindings.h"
#include "cli/commands.h"
#include "cli/session_ranks.h"
#include "core/log.h"

namespace allreco::cli {

namespace {

/// What is given, without what makes no difference to the dataset.
std::string command_of(data::PrepareConfig config) {
  data::PrepareConfig untouched;
  config.memory_limit = untouched.memory_limit;
  config.tmp_dir = untouched.tmp_dir;
  OptionList list("allreco prepare", "", {config.options()});
  return list.as_config();
}

}  // namespace

int prepare_command(dist::Session& session, const Arguments& arguments) {
  data::PrepareConfig config;
  RuntimeOptions runtime;
  OptionList list("allreco prepare",
                  "Turns reviews with metadata, ready prompts or token ids into a dataset directory of HDF5 shards.",
                  {config.options(), runtime.options()});
  if (!parse_or_help(list, arguments, session)) return kExitDone;
  apply(runtime, session);
  data::validate(config);
  constexpr double any_time_s = 7 * 86400;
  session.set_timeout(any_time_s);  // one rank may have one large compressed file to read, or all the prompts
  session.together("prepare", [&] {
    SessionRanks ranks(session);
    const std::string summary = data::prepare(config, command_of(config), ranks, at::get_num_threads());
    if (!session.is_leader()) return;
    core::write_output(summary + "\n");
    core::write_output(core::message("What it gives away without a model: allreco audit {}\n", config.output_dir));
  });
  return kExitDone;
}

}  // namespace allreco::cli
