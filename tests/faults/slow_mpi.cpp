// slow_mpi: loaded into the ranks of a program with LD_PRELOAD, makes MPI's all-reduces slow and stops or ends a rank
// at a chosen place, through MPI's profiling interface (MPI-3.1, chapter 14).
//
//   SLOW_MPI_LATENCY_MS   a non-blocking sum of at least SLOW_MPI_MIN_BYTES (default 4096: tensors, not the few doubles
//                         of the control plane) looks unfinished until so long after its start, as on a network of
//                         that latency: several under way at once wait at the same time. So does each swap of a tree
//                         sum (the only tensors of floats that are received)
//   SLOW_MPI_MB_PER_S     and its bytes pass a link of that bandwidth (MB: 1e6 bytes) before, one message after another
//   SLOW_MPI_SERIAL       1: each begins to count when the one before it is done, latency included
//   SLOW_MPI_FAULT        RANK:PLACE:NUMBER:ACTION. On that rank, at the NUMBER-th (from 1) of PLACE, ACTION is kill
//                         (SIGKILL), stop (SIGSTOP) or, of an all_reduce, flip (a bit of the sum's first float,
//                          as a fault of the memory does). PLACE: all_reduce (just after a sum of that size was
//                         started) or the name of a phase (just after the rank told others that it enters it)
//   SLOW_MPI_THREADS      none: MPI_Init_thread says that this MPI is not for programs with threads
//   SLOW_MPI_MARK         a file that is made just before ACTION
#include <fcntl.h>
#include <mpi.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Fault {
  int rank = -1;
  std::string place, action;
  long number = 0;
};

[[noreturn]] void refuse(const std::string& message) {
  std::fprintf(stderr, "slow_mpi: %s\n", message.c_str());
  std::_Exit(99);
}

std::string environment(const char* name, const char* otherwise = "") {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : value;
}

Fault read_fault() {
  std::string text = environment("SLOW_MPI_FAULT");
  if (text.empty()) return {};
  std::vector<std::string> parts;
  for (size_t end = 0; (end = text.find(':')) != std::string::npos; text.erase(0, end + 1))
    parts.push_back(text.substr(0, end));
  parts.push_back(text);
  if (parts.size() != 4 || (parts[3] != "kill" && parts[3] != "stop" && parts[3] != "flip"))
    refuse("expected SLOW_MPI_FAULT = RANK:PLACE:NUMBER:kill, stop or flip, found " + environment("SLOW_MPI_FAULT"));
  return {std::atoi(parts[0].c_str()), parts[1], parts[3], std::atol(parts[2].c_str())};
}

/// Used from the thread that calls MPI only; the program asks MPI for no more.
struct Shim {
  std::chrono::duration<double, std::milli> latency{std::atof(environment("SLOW_MPI_LATENCY_MS", "0").c_str())};
  long min_bytes = std::atol(environment("SLOW_MPI_MIN_BYTES", "4096").c_str());
  std::chrono::duration<double, std::milli> per_byte{std::atof(environment("SLOW_MPI_MB_PER_S", "0").c_str()) > 0
                                                         ? 1e-3 / std::atof(environment("SLOW_MPI_MB_PER_S").c_str())
                                                         : 0};
  bool serial = environment("SLOW_MPI_SERIAL") == "1";
  Fault fault = read_fault();
  std::string mark = environment("SLOW_MPI_MARK");
  std::map<MPI_Request, Clock::time_point> due;  // of the slowed sums and swaps under way
  Clock::time_point link_free;
  long num_met = 0;

  std::map<MPI_Request, unsigned char*> flips;  // the sum under way whose result is to be wrong

  bool is_met(std::string_view place) {
    return place == fault.place && rank() == fault.rank && ++num_met == fault.number;
  }

  void meet(std::string_view place) {
    if (!is_met(place)) return;
    if (!mark.empty()) {
      const int file = ::open(mark.c_str(), O_CREAT | O_WRONLY, 0644);
      if (file < 0) refuse("cannot make " + mark);
      ::close(file);
    }
    ::raise(fault.action == "kill" ? SIGKILL : SIGSTOP);
  }

  /// From now on `request` looks unfinished until its bytes could have passed.
  void slow_down(MPI_Request request, long bytes) {
    if (latency.count() <= 0 && per_byte.count() <= 0) return;
    const auto passed =
        std::max(Clock::now(), link_free) + std::chrono::duration_cast<Clock::duration>(per_byte * bytes);
    due[request] = passed + std::chrono::duration_cast<Clock::duration>(latency);
    link_free = serial ? due[request] : passed;
  }

  static int rank() {
    int rank = -1;
    PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
    return rank;
  }
};

Shim& shim() {
  static Shim* the_shim = new Shim;
  return *the_shim;
}

long bytes_of(int count, MPI_Datatype type) {
  int size = 0;
  PMPI_Type_size(type, &size);
  return long{count} * size;
}

}  // namespace

extern "C" {

int MPI_Init_thread(int* argc, char*** argv, int required, int* provided) {
  const int error = PMPI_Init_thread(argc, argv, required, provided);
  if (environment("SLOW_MPI_THREADS") == "none") *provided = MPI_THREAD_SINGLE;
  return error;
}

int MPI_Iallreduce(const void* send, void* receive, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm,
                   MPI_Request* request) {
  const int error = PMPI_Iallreduce(send, receive, count, type, op, comm, request);
  const long bytes = bytes_of(count, type);
  if (error != MPI_SUCCESS || bytes < shim().min_bytes) return error;
  shim().slow_down(*request, bytes);
  if (shim().fault.action != "flip")
    shim().meet("all_reduce");
  else if (shim().is_met("all_reduce"))
    shim().flips[*request] = static_cast<unsigned char*>(receive);
  return error;
}

int MPI_Irecv(void* data, int count, MPI_Datatype type, int from, int tag, MPI_Comm comm, MPI_Request* request) {
  const int error = PMPI_Irecv(data, count, type, from, tag, comm, request);
  const long bytes = type == MPI_FLOAT ? bytes_of(count, type) : 0;
  if (error == MPI_SUCCESS && bytes > 0 && bytes >= shim().min_bytes) shim().slow_down(*request, bytes);
  return error;
}

int MPI_Test(MPI_Request* request, int* done, MPI_Status* status) {
  const MPI_Request before = *request;
  const auto slowed = shim().due.find(before);
  if (slowed != shim().due.end() && Clock::now() < slowed->second) {  // MPI may advance, but the program sees no end
    int ignored = 0;
    *done = 0;
    return PMPI_Request_get_status(*request, &ignored, MPI_STATUS_IGNORE);
  }
  const int error = PMPI_Test(request, done, status);
  if (!*done) return error;
  if (slowed != shim().due.end()) shim().due.erase(slowed);
  if (const auto flip = shim().flips.find(before); flip != shim().flips.end()) {
    flip->second[2] ^= 0x40;  // of a float32: the highest bit of its mantissa
    shim().flips.erase(flip);
  }
  return error;
}

int MPI_Isend(const void* data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request* request) {
  const int error = PMPI_Isend(data, count, type, to, tag, comm, request);
  const std::string_view bytes(static_cast<const char*>(data), type == MPI_BYTE ? static_cast<size_t>(count) : 0);
  const std::string& place = shim().fault.place;
  // A heartbeat holds the phase's name as a string that ends with a zero.
  if (!place.empty() && bytes.find(place + '\0') != std::string_view::npos) shim().meet(place);
  return error;
}

}  // extern "C"
