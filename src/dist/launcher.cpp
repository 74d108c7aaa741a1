#include "dist/launcher.h"

#include <cstdlib>

#include "core/check.h"

namespace allreco::dist {
namespace {

std::optional<int> to_int(const char* text) {
  if (text == nullptr) return std::nullopt;
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (end == text || *end != '\0') return std::nullopt;
  return static_cast<int>(value);
}

}  // namespace

// Open MPI's variables come first: under mpirun inside a SLURM job, SLURM's own describe the daemon on each node, not
// the ranks. SLURM_PROCID says nothing: the plain shell of sbatch has it too. A step (srun) is known by SLURM_STEP_ID.
Launch detect_launch(const std::function<const char*(const char*)>& get) {
  if (get("OMPI_COMM_WORLD_SIZE")) return {"mpirun", to_int(get("OMPI_COMM_WORLD_SIZE"))};
  const bool in_step = get("SLURM_STEP_ID") != nullptr;
  const std::optional<int> step_size = in_step ? to_int(get("SLURM_STEP_NUM_TASKS")) : std::nullopt;
  if (get("PMIX_RANK") || get("PMI_RANK"))
    return {in_step ? "srun" : "the MPI launcher", step_size ? step_size : to_int(get("PMI_SIZE"))};
  if (step_size.value_or(1) > 1)
    core::user_error(
        "srun started {} tasks without MPI support, so each would run alone: use `srun --mpi=pmix` (`srun --mpi=list` "
        "shows what this SLURM has) or `mpirun`; for one process, `srun -n 1`",
        *step_size);
  return {};
}

void check_world_size(const Launch& launch, int world_size) {
  if (!launch.world_size || *launch.world_size == world_size) return;
  core::user_error(
      "{} started {} processes but MPI sees {}: the launcher does not fit the MPI library that allreco was built with. "
      "Use that library's own mpirun, or `srun --mpi=pmix`",
      launch.launcher, *launch.world_size, world_size);
}

}  // namespace allreco::dist
