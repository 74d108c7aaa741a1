// Which MPI library this process runs with.
#pragma once
#include <string>

namespace allreco::dist {

/// One line, like "Open MPI v4.1.4, ..."; also before MPI is up. Any thread.
std::string mpi_library_version();

}  // namespace allreco::dist
