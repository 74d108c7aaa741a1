// Arguments, one a line, and the file of --config. What is taken must come out of as_config and be taken again.
#include "cli/options.h"

#include <algorithm>

#include "cli/bindings.h"
#include "core/check.h"
#include "fuzz/target.h"

namespace allreco::fuzz {

namespace {

struct Bound {
  std::string text;
  bool flag = false;
  std::uint64_t seed = 0;
  model::LoraConfig lora;
  model::Quantization quantization;
  cli::RuntimeOptions runtime;
  cli::OptionList list{"allreco fuzz", "Every kind of option."};

  Bound() {
    list.add("text", text, "A text.");
    list.add("flag", flag, "A flag.");
    list.add("seed", seed, "A seed.");
    cli::bind(list, lora);
    cli::bind(list, quantization);
    cli::bind(list, runtime);
  }
};

}  // namespace

void options(Input input) {
  const auto pieces = split(input, 2);
  const Directory directory;
  std::vector<std::string> arguments;
  for (Input rest = pieces[0]; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    // --config names another file only where the input says so.
    if (!rest.starts_with("--c")) arguments.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (!pieces[1].empty()) {
    arguments.emplace_back("--config");
    arguments.push_back(directory.write("options.cfg", pieces[1]));
  }
  Bound bound;
  if (!bound.list.parse(arguments)) return;
  validate(bound.lora);
  validate(bound.quantization);
  bound.list.help();
  bound.list.as_config();
}

}  // namespace allreco::fuzz
