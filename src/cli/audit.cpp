// audit: a dataset in, what it gives away out.
#include "audit/audit.h"

#include "cli/bindings.h"
#include "cli/commands.h"
#include "core/check.h"
#include "core/files.h"
#include "core/log.h"

namespace allreco::cli {

int audit_command(dist::Session& session, const Arguments& arguments) {
  audit::AuditConfig config;
  RuntimeOptions runtime;
  OptionList list("allreco audit DATASET",
                  "Says what a dataset gives away before a model is trained on it: rules that find the answer without "
                  "a model, duplicates, answers in plain sight.",
                  {config.options(), runtime.options()});
  Arguments given = arguments;
  if (!given.empty() && !given[0].starts_with("-")) given.insert(given.begin(), "--dataset");
  if (!parse_or_help(list, given, session)) return kExitDone;
  require_one_rank(session, "audit");
  require_option("dataset", config.dataset);
  core::check_options(config);
  apply(runtime, session);
  const audit::AuditDocument document = audit::audit(config);
  if (!config.output_dir.empty()) {
    core::make_directory(config.output_dir);
    core::write_json_file(config.output_dir + "/audit.json", json_of(document));
  }
  core::write_output(audit::audit_table(document));
  return config.strict && document.num_warnings > 0 ? kExitWarnings : kExitDone;
}

}  // namespace allreco::cli
