// audit: a dataset in, what it gives away out.
#include "audit/audit.h"

#include <filesystem>
#include <optional>

#include "cli/bindings.h"
#include "cli/commands.h"
#include "core/check.h"
#include "core/files.h"
#include "core/log.h"
#include "core/run_lock.h"

namespace allreco::cli {

namespace {

void write_audit(const core::LockedDirectory& directory, const std::filesystem::path& file,
                 const audit::AuditDocument& document) {
  directory.require_in_place();
  if (std::filesystem::exists(file)) core::log_info("replacing {}", file.string());
  core::write_json_file(file, json_of(document));
}

}  // namespace

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
  std::optional<core::LockedDirectory> directory;
  if (!config.output_dir.empty()) directory.emplace(config.output_dir);
  const audit::AuditDocument document = audit::audit(config);
  if (directory) write_audit(*directory, std::filesystem::path(config.output_dir) / "audit.json", document);
  core::write_output(audit::audit_table(document));
  return config.strict && document.num_warnings > 0 ? kExitWarnings : kExitDone;
}

}  // namespace allreco::cli
