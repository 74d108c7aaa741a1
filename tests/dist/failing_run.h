// Runs a scenario of this test program under mpirun, to its end.
#pragma once
#include <string>

namespace allreco::dist {

struct Ended {
  std::string output;  // stdout and stderr of all ranks
  int exit_code = -1;
  double seconds = 0;
  bool says(const std::string& text) const { return output.find(text) != std::string::npos; }
  int count(const std::string& text) const;
};

Ended run_under_mpi(int ranks, const std::string& scenario);

}  // namespace allreco::dist
