#include "data/prepare/prepare.h"

#include <ATen/Parallel.h>

#include "audit/audit.h"
#include "cli/bindings.h"
#include "cli/commands.h"
#include "cli/session_ranks.h"
#include "core/log.h"

namespace allreco::cli {

namespace {

constexpr std::int64_t kExamplesAudited = 5'000;  // of each split: seconds

/// What is given, without what makes no difference to the dataset.
std::string command_of(data::PrepareConfig config) {
  data::PrepareConfig untouched;
  config.memory_limit = untouched.memory_limit;
  config.tmp_dir = untouched.tmp_dir;
  OptionList list("allreco prepare", "", {config.options()});
  return list.as_config();
}

/// What a quick look at the new dataset warns of.
std::string audited(const std::string& dataset) {
  audit::AuditConfig config;
  config.dataset = dataset;
  config.max_examples = kExamplesAudited;
  return audit::warnings_text(audit::audit(config));
}

}  // namespace

int prepare_command(dist::Session& session, const Arguments& arguments) {
  data::PrepareConfig config;
  RuntimeOptions runtime;
  bool audits = true;
  const core::OptionGroup afterwards = {
      "Afterwards",
      {{"audit", audits, "Say what a look at 5,000 examples of each split warns of (allreco audit says it all)."}}};
  OptionList list("allreco prepare",
                  "Turns reviews, sequences, ready prompts or token ids into a dataset directory of HDF5 shards.",
                  {config.options(), {afterwards}, runtime.options()});
  if (!parse_or_help(list, arguments, session)) return kExitDone;
  apply(runtime, session);
  data::validate(config);
  session.set_timeout(dist::Session::kAnyTime);  // one rank may have one large compressed file to read
  session.together("prepare", [&] {
    SessionRanks ranks(session);
    const std::string summary = data::prepare(config, command_of(config), ranks, at::get_num_threads());
    if (!session.is_leader()) return;
    core::write_output(summary + "\n");
    if (audits) core::write_output(audited(config.output_dir));
    core::write_output(core::message("What it gives away without a model: allreco audit {}\n", config.output_dir));
  });
  return kExitDone;
}

}  // namespace allreco::cli
