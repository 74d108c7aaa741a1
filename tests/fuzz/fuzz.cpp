// fuzz --target=NAME [libFuzzer's options] [CORPUS...]: one target under libFuzzer, which passes options with two
// dashes on to the processes it starts. tests/fuzz/run.sh calls it.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string_view>

#include "core/log.h"
#include "fuzz/target.h"

namespace {
const allreco::fuzz::Target* chosen = nullptr;  // libFuzzer's interface leaves no other way
}

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  constexpr std::string_view kOption = "--target=";
  for (int i = 1; i < *argc; ++i) {
    const std::string_view argument = (*argv)[i];
    if (argument.starts_with(kOption)) chosen = &allreco::fuzz::find_target(argument.substr(kOption.size()));
  }
  if (chosen == nullptr) {
    std::fputs("usage: fuzz --target=NAME [libFuzzer's options] [CORPUS...]\n", stderr);
    std::exit(2);
  }
  allreco::core::set_up_log(0, 1, "error");
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, size_t size) {
  allreco::fuzz::run_target(*chosen, {reinterpret_cast<const char*>(data), size});
  return 0;
}
