#include "eval/compare.h"

#include <algorithm>
#include <optional>

#include "cli/bindings.h"
#include "cli/commands.h"
#include "core/check.h"
#include "core/log.h"
#include "core/output_file.h"

namespace allreco::cli {

namespace {

struct CompareOptions {
  std::string first, second, output;
  std::int64_t bootstrap_samples = 2000;
  std::uint64_t seed = 42;

  core::OptionGroups options() {
    return {{"Comparison",
             {{"first", first, "A directory that `allreco evaluate` wrote; also the first argument."},
              {"second", second, "Another, of the same examples; also the second argument."},
              {"output", output, "Also write the comparison as JSON into this file, which may not exist; empty: not."},
              {"bootstrap_samples", bootstrap_samples, core::between(1000, 1e6),
               "Resamples of shoppers behind each interval."},
              {"seed", seed, "Seed of the bootstrap."}}}};
  }
};

/// `compare A B` as `compare --first A --second B`.
Arguments with_names(const Arguments& arguments) {
  Arguments named;
  const char* const names[] = {"--first", "--second"};
  std::size_t place = 0;
  for (; place < std::min<std::size_t>(2, arguments.size()) && !arguments[place].starts_with("-"); ++place)
    named.insert(named.end(), {names[place], arguments[place]});
  named.insert(named.end(), arguments.begin() + static_cast<std::ptrdiff_t>(place), arguments.end());
  return named;
}

}  // namespace

int compare_command(dist::Session& session, const Arguments& arguments) {
  CompareOptions options;
  RuntimeOptions runtime;
  OptionList list("allreco compare A B",
                  "Compares two evaluations of the same examples, paired: differences with their intervals, and "
                  "McNemar's test or the sign test.",
                  {options.options(), runtime.options()});
  if (!parse_or_help(list, with_names(arguments), session)) return kExitDone;
  require_option("first", options.first);
  require_option("second", options.second);
  core::check_options(options);
  apply(runtime, session);
  session.together("compare", [&] {
    if (!session.is_leader()) return;
    std::optional<core::OutputFile> output;
    if (!options.output.empty()) output.emplace("output", options.output);
    const eval::Comparison comparison =
        eval::compare(options.first, options.second, {options.bootstrap_samples, options.seed});
    if (output) output->write_json(core::json_of(comparison));
    core::write_output(eval::comparison_table(comparison));
  });
  return kExitDone;
}

}  // namespace allreco::cli
