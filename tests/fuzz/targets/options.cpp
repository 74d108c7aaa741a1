// Arguments, one a line, and the file of --config. What is taken comes out of as_config, and gives the same when it is
// read again.
#include "cli/options.h"

#include <algorithm>

#include "core/check.h"
#include "fuzz/target.h"
#include "model/checkpoint/quantization.h"
#include "model/lora/lora_config.h"

namespace allreco::fuzz {

namespace {

struct Bound {
  std::string text;
  bool flag = false;
  std::uint64_t seed = 0;
  model::LoraConfig lora;
  model::Quantization quantization;
  cli::OptionList list{"allreco fuzz",
                       "Every kind of option.",
                       {{{"Texts", {{"text", text, "A text."}, {"flag", flag, "A flag."}, {"seed", seed, "A seed."}}}},
                        lora.options(),
                        {quantization.options()}}};
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
  bound.list.help();
  const std::string config = bound.list.as_config();
  Bound again;
  core::require(again.list.parse({"--config", directory.write("again.cfg", config)}), "a config asks for no help");
  core::require(again.list.as_config() == config, "a config that is read again is the same");
}

}  // namespace allreco::fuzz
