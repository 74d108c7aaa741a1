// Who started this process: a launcher that speaks to MPI (mpirun, srun --mpi=pmix), or nobody (a plain shell, also
// inside a SLURM allocation).
#pragma once
#include <functional>
#include <optional>
#include <string>

namespace allreco::dist {

struct Launch {
  /// The launcher, for messages; empty: a lone process, which never touches MPI.
  std::string launcher;
  /// How many processes it says it started; none when it does not say.
  std::optional<int> world_size;
  bool launched() const { return !launcher.empty(); }
};

/// `get(name)`: an environment variable's value, or null. UserError when srun started several tasks without any MPI
/// support: each would take itself for the only one.
Launch detect_launch(const std::function<const char*(const char*)>& get);

/// UserError when MPI sees another number of processes than the launcher started (it belongs to another MPI, or cannot
/// speak to this one).
void check_world_size(const Launch& launch, int world_size);

}  // namespace allreco::dist
