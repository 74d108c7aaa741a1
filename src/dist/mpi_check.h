// Turns MPI's return codes into Faults. Internal to dist; free of mpi.h, as every header is.
#pragma once

namespace allreco::dist {

/// Throws a Fault with MPI_Error_string unless `code` is MPI_SUCCESS. `call`: what was done, for the message.
void check_mpi(int code, const char* call);

}  // namespace allreco::dist
