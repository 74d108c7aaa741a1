#include <memory>

#include "bench/collectives.h"
#include "bench/memory_plan.h"
#include "bench/report.h"
#include "bench/training_bench.h"
#include "cli/bindings.h"
#include "cli/commands.h"
#include "core/log.h"
#include "core/output_file.h"

namespace allreco::cli {

namespace {

/// On rank 0, where the result is to be written at all: before it is measured.
std::unique_ptr<core::OutputFile> open_output(dist::Session& session, const std::string& path) {
  std::unique_ptr<core::OutputFile> output;
  session.together("opening the output", [&] {
    if (session.is_leader() && !path.empty()) output = std::make_unique<core::OutputFile>("output", path);
  });
  return output;
}

/// Rank 0 says it and writes it.
template <class Result>
void publish(dist::Session& session, const Result& result, const core::OutputFile* output) {
  session.together("writing the result", [&] {
    if (!session.is_leader()) return;
    core::write_output(bench::text_of(result));
    if (output != nullptr) output->write_json(bench::to_json(result));
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
  const auto output = open_output(session, config.output);
  if (config.plan)
    publish(session, bench::plan_memory(config), output.get());
  else if (config.collectives)
    publish(session, bench::bench_collectives(session, config), output.get());
  else
    publish(session, bench::bench_training(session, config), output.get());
  return kExitDone;
}

}  // namespace allreco::cli
