// See failing_run.h.
#include "dist/failing_run.h"

#include <sys/wait.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>

namespace allreco::dist {

int Ended::count(const std::string& text) const {
  int count = 0;
  for (size_t at = output.find(text); at != std::string::npos; at = output.find(text, at + 1)) ++count;
  return count;
}

Ended run_under_mpi(int ranks, const std::string& scenario) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  const std::string command = std::string(ALLRECO_MPIEXEC) + " --oversubscribe --bind-to none -n " +
                              std::to_string(ranks) + " '" + self + "' --scenario=" + scenario + " 2>&1";
  const auto begin = std::chrono::steady_clock::now();
  Ended ended;
  FILE* pipe = ::popen(command.c_str(), "r");
  std::array<char, 4096> part;
  while (const size_t size = std::fread(part.data(), 1, part.size(), pipe)) ended.output.append(part.data(), size);
  ended.exit_code = WEXITSTATUS(::pclose(pipe));
  ended.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return ended;
}

}  // namespace allreco::dist
