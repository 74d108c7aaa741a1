#include "bench/collectives.h"
#include "bench/memory_plan.h"
#include "bench/report.h"
#include "bench/training_bench.h"
#include "cli/bindings.h"
#include "cli/commands.h"
#include "core/log.h"

namespace allreco::cli {

namespace {

/// Rank 0 says it and writes it.
template <class Result>
void publish(dist::Session& session, const Result& result, const std::string& output) {
  session.together("writing the result", [&] {
    if (!session.is_leader()) return;
    core::write_output(bench::text_of(result));
    if (!output.empty()) core::write_json_file(output, bench::to_json(result));
  });
}

}  // namespace

int bench_command(dist::Session& session, const Arguments& arguments) {
  bench::BenchConfig config;
  RuntimeOptions runtime;
  OptionList list(
      "allreco bench",
      "Measures the training step of a shape on this machine, where its time and memory go, and the data plane "
      "between the ranks; run it under mpirun.",
      {config.options(), config.base.options(), config.lora.options(), runtime.options()});
  if (!parse_or_help(list, arguments, session)) return kExitDone;
  apply(runtime, session);
  bench::validate(config);
  if (config.plan)
    publish(session, bench::plan_memory(config), config.output);
  else if (config.collectives)
    publish(session, bench::bench_collectives(session, config), config.output);
  else
    publish(session, bench::bench_training(session, config), config.output);
  return kExitDone;
}

}  // namespace allreco::cli
