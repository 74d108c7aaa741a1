// allreco, as a shell or a launcher starts it. It loads the C++ library alone, so it is under way within a millisecond,
// and then becomes allreco-program (main.cpp). That one loads libtorch first: a signal that came meanwhile would end
// the process before the program's first line, and libgomp has read its environment by then.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/stop_signals.h"

namespace {

/// A shell may start a program without one of its three streams (2>&-). The first files that it opens would have their
/// numbers then, and what it says would stand in a checkpoint, or requests would be read from the model's weights.
void fill_closed_streams() {
  for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; ++stream) {
    if (::fcntl(stream, F_GETFD) >= 0) continue;
    if (::open("/dev/null", stream == STDIN_FILENO ? O_RDONLY : O_WRONLY) != stream) std::_Exit(1);
  }
}

/// OpenMP's threads spin at the end of each parallel loop for so long that on a core shared with other processes a
/// training step takes much longer. A spin of some microseconds costs about nothing on an idle machine and far less on
/// a busy one (docs/architecture.md, Threads). Should it fail, the program is only slower.
void shorten_spinning() {
  if (std::getenv("OMP_WAIT_POLICY") == nullptr) ::setenv("GOMP_SPINCOUNT", "1000", /*overwrite=*/0);
}

/// Beside this file, wherever a link to it lies.
std::string path_of_program() {
  std::string path(PATH_MAX, '\0');
  const ssize_t length = ::readlink("/proc/self/exe", path.data(), path.size());
  path.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
  return path + "-program";
}

}  // namespace

int main(int argc, char** argv) {
  fill_closed_streams();
  if (argc > 1 && std::strcmp(argv[1], "train") == 0) allreco::core::hold_stop_signals();  // exec keeps the mask
  shorten_spinning();
  const std::string program = path_of_program();
  ::execv(program.c_str(), argv);
  std::fprintf(stderr, "error: cannot start %s: %s. Build it with launch/build.sh, and keep both files together\n",
               program.c_str(), std::strerror(errno));
  return 1;
}
