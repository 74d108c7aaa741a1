#include "data/prepare/prepare.h"

#include "cli/bindings.h"
#include "cli/commands.h"
#include "core/log.h"

namespace allreco::cli {

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
  session.set_timeout(any_time_s);  // the others wait for rank 0, which alone prepares
  session.together("prepare", [&] {
    if (!session.is_leader()) return;
    core::write_output(data::prepare(config, list.as_config()) + "\n");
    core::write_output(core::message("What it gives away without a model: allreco audit {}\n", config.output_dir));
  });
  return kExitDone;
}

}  // namespace allreco::cli
