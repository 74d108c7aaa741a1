#include "dist/mpi_check.h"

#include <mpi.h>

#include <string_view>

#include "core/check.h"

namespace allreco::dist {

void check_mpi(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  core::fault("MPI failed in {}: {} (code {})", call, std::string_view(text, static_cast<size_t>(length)), code);
}

}  // namespace allreco::dist
