// Ending all ranks without a word. Internal to dist.
#pragma once

namespace allreco::dist {

/// MPI_Abort has mpirun print ten lines of its own behind the program's message, which then looks like the reason. What
/// it asks the launcher for, PMIx_Abort does without them, where Open MPI has loaded libpmix. False where it has not.
bool abort_quietly(int exit_code);

}  // namespace allreco::dist
