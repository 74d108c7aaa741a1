// doctor: whether this machine, or all hosts of a job, can run allreco, and what to fix.
#include "cli/bindings.h"
#include "cli/commands.h"
#include "core/log.h"
#include "dist/timeout_option.h"
#include "doctor/exchange.h"
#include "doctor/facts.h"
#include "doctor/findings.h"
#include "doctor/report.h"

namespace allreco::cli {

namespace {

std::vector<doctor::RankFacts> gather_all(dist::Session& session, const doctor::PathOptions& paths) {
  std::vector<doctor::RankFacts> facts;
  for (const std::string& text : session.all_gather(doctor::to_text(doctor::gather_facts(session, paths))))
    facts.push_back(doctor::facts_from_text(text));
  return facts;
}

int examine(dist::Session& session, const doctor::PathOptions& paths) {
  const std::vector<doctor::RankFacts> facts = gather_all(session, paths);
  const std::vector<doctor::Finding> findings = doctor::judge(facts);
  if (session.is_leader()) core::write_output(doctor::hosts_table(facts) + "\n" + doctor::findings_text(findings));
  if (doctor::has_errors(findings)) {
    if (session.is_leader()) core::write_output("\nThis will not work before the errors above are fixed.\n");
    return kExitUserError;
  }
  const doctor::Exchange exchange = doctor::try_exchange(session);
  if (session.is_leader()) {
    core::write_output(
        doctor::exchange_text(exchange, session.world_size()) +
        (exchange.wrong.empty() ? "\nThis can work.\n" : "\nThis will not work before the error above is fixed.\n"));
  }
  return exchange.wrong.empty() ? kExitDone : kExitUserError;
}

}  // namespace

int doctor_command(dist::Session& session, const Arguments& arguments) {
  std::string model, dataset, output_dir;
  double ddp_timeout = 60;
  OptionList list("allreco doctor",
                  "Checks machine, MPI, GPUs, NCCL and file system, alone or on every host of a job (start it as the "
                  "training will be started), and says what to fix. Exit code 0: can work; 2: something must be fixed.",
                  {{{"Checks",
                     {{"model_name_or_path", model, "Also check this model directory on every host."},
                      {"dataset", dataset, "Also check this dataset directory on every host."},
                      {"output_dir", output_dir, "Also check that rank 0 can write there."},
                      dist::timeout_option(ddp_timeout)}}}});
  if (!parse_or_help(list, arguments, session)) return kExitDone;
  session.set_timeout(ddp_timeout);
  return examine(session, {{"model_name_or_path", model}, {"dataset", dataset}, {"output_dir", output_dir}});
}

}  // namespace allreco::cli
