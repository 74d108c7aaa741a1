#include "dist/session.h"

#include <fmt/format.h>
#include <mpi.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <exception>

#include "core/check.h"
#include "core/host.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/users_mistake.h"
#include "dist/control_plane.h"
#include "dist/launcher.h"
#include "dist/mpi_check.h"
#include "dist/mpi_communicator.h"
#include "dist/quiet_abort.h"
#include "dist/watchdog.h"

namespace allreco::dist {
namespace {

constexpr size_t kMaxNesting = 8;  // of together
// A failed rank waits this long for the others to reach the agreement by themselves before it calls them out of their
// collectives.
constexpr auto kBeforeCalling = std::chrono::milliseconds(100);

/// When mpirun or the SLURM step is killed, nobody is left to end its ranks: the kernel does it then. Ranks that lived
/// on would write where the next attempt writes.
void die_with_launcher() {
  const pid_t launcher = ::getppid();
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) core::log_warning("ranks may outlive a killed launcher: prctl failed");
  if (::getppid() != launcher) std::_Exit(1);  // it died before the kernel was asked
}

void start_mpi(int& argc, char**& argv) {
  die_with_launcher();
  int provided = 0;
  check_mpi(MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
  check_mpi(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  core::require(provided >= MPI_THREAD_FUNNELED, "this MPI library gives no MPI_THREAD_FUNNELED");
}

}  // namespace

struct Session::State {
  int rank = 0, world_size = 1, local_rank = 0, local_size = 1;
  bool mpi_is_up = false;
  std::unique_ptr<Watchdog> watchdog;
  std::unique_ptr<ControlPlane> control;  // null for world size 1
  std::vector<std::unique_ptr<ControlPlane>>
      agreements;  // one per nesting level, so that an agreement never meets another's collective
  std::unique_ptr<Communicator> communicator;
  size_t nesting = 0;
  std::int64_t next_agreement = 0;
  int exceptions_at_start = 0;
  std::string memory_advice;

  void find_ranks() {
    check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "MPI_Comm_rank");
    check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &world_size), "MPI_Comm_size");
    MPI_Comm node = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node),
              "MPI_Comm_split_type");
    check_mpi(MPI_Comm_rank(node, &local_rank), "MPI_Comm_rank");
    check_mpi(MPI_Comm_size(node, &local_size), "MPI_Comm_size");
    check_mpi(MPI_Comm_free(&node), "MPI_Comm_free");
  }

  void make_planes() {
    if (world_size == 1) {
      watchdog = std::make_unique<Watchdog>(nullptr, 0, 1);
      communicator = make_self_communicator();
      return;
    }
    watchdog = std::make_unique<Watchdog>(std::make_unique<ControlChannel>(), rank, world_size);
    control = std::make_unique<ControlPlane>(*watchdog);
    for (size_t i = 0; i < kMaxNesting; ++i)
      agreements.push_back(std::make_unique<ControlPlane>(*watchdog, ControlPlane::Use::agreements));
    communicator = make_mpi_communicator(*watchdog);
    watchdog->set_hosts(control->all_gather(core::host_name()));
    watchdog->set_watcher_stride(static_cast<int>(control->all_max(local_size)));
    watchdog->enter_phase(0, "start");
  }
};

Session::Session(int& argc, char**& argv) : state_(std::make_unique<State>()) {
  const Launch launch = detect_launch([](const char* name) -> const char* { return std::getenv(name); });
  state_->exceptions_at_start = std::uncaught_exceptions();
  if (launch.launched()) {
    start_mpi(argc, argv);
    state_->mpi_is_up = true;
    state_->find_ranks();
    check_world_size(launch, state_->world_size);
  }
  state_->make_planes();
}

Session::~Session() {
  if (!state_->mpi_is_up) return;
  try {
    if (std::uncaught_exceptions() > state_->exceptions_at_start) core::fault("an error left the session");
    if (state_->watchdog->out_of_step()) core::fault("the ranks are out of step after an error");
    if (state_->control) state_->control->barrier();
    state_->watchdog->close();
    check_mpi(MPI_Finalize(), "MPI_Finalize");
  } catch (const std::exception& e) {
    core::write_log(core::LogLevel::error, core::failure_text(e, state_->memory_advice) + "; ending all ranks");
    abort(1);
  }
}

int Session::rank() const { return state_->rank; }
int Session::world_size() const { return state_->world_size; }
int Session::local_rank() const { return state_->local_rank; }
int Session::local_size() const { return state_->local_size; }
Communicator& Session::communicator() { return *state_->communicator; }
Watchdog& Session::watchdog() { return *state_->watchdog; }

double Session::set_timeout(double seconds) { return state_->watchdog->set_timeout(seconds); }
void Session::set_memory_advice(std::string advice) { state_->memory_advice = std::move(advice); }
void Session::enter_phase(std::int64_t step, std::string_view phase) { state_->watchdog->enter_phase(step, phase); }

std::vector<std::string> Session::all_gather(const std::string& text) {
  return state_->control ? state_->control->all_gather(text) : std::vector<std::string>{text};
}

std::string Session::broadcast(std::string text, int root) {
  if (root < 0 || root >= world_size()) core::fault("broadcast from rank {} of {} ranks", root, world_size());
  return state_->control ? state_->control->broadcast(std::move(text), root) : text;
}

std::int64_t Session::all_max(std::int64_t value) { return state_->control ? state_->control->all_max(value) : value; }

void Session::all_sum(std::vector<double>& values) {
  if (state_->control) state_->control->all_sum(values);
}

void Session::set_piece_bytes(std::int64_t bytes) {
  if (state_->control) state_->control->set_piece_bytes(bytes);
}

void Session::barrier() {
  if (state_->control) state_->control->barrier();
}

void Session::abort(int exit_code) {
  if (!state_->mpi_is_up) std::exit(exit_code);
  if (!abort_quietly(exit_code)) MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);
}

// ---- together: one outcome for all ranks ----

struct Session::Outcome {
  enum Kind : std::int64_t { ok, user_error, interrupted, fault };  // the worst has the largest number
  Kind kind = ok;
  std::string message;
};

void Session::together(std::string_view what, const std::function<void()>& work) {
  if (world_size() == 1) return work();
  if (state_->nesting == kMaxNesting)
    core::fault("more than {} agreements inside one another, at {}", kMaxNesting, what);
  Watchdog& watchdog = *state_->watchdog;
  const std::string outer_phase = watchdog.phase();
  watchdog.enter_phase(watchdog.step(), what);
  const std::int64_t agreement = ++state_->next_agreement;
  ++state_->nesting;
  const std::shared_ptr<void> on_exit(nullptr, [this](void*) { --state_->nesting; });
  const Outcome mine = run(work, agreement);
  agree(mine, agreement);
  watchdog.enter_phase(watchdog.step(), outer_phase);
}

Session::Outcome Session::run(const std::function<void()>& work, std::int64_t agreement) {
  state_->watchdog->enter_agreement(agreement);
  const std::shared_ptr<void> on_exit(nullptr, [this](void*) { state_->watchdog->leave_agreement(); });
  try {
    work();
    return {};
  } catch (const WaitTimeout&) {
    throw;  // nothing can be agreed with a rank that is missing
  } catch (const PeerFailed&) {
    return {Outcome::interrupted, ""};
  } catch (const std::exception& e) {
    if (const auto mistake = core::users_mistake(e)) return {Outcome::user_error, *mistake};
    return {Outcome::fault, core::failure_text(e, state_->memory_advice)};
  }
}

void Session::agree(const Outcome& mine, std::int64_t agreement) {
  if (agree_on_kind(mine, agreement) == Outcome::ok) return;
  ControlPlane& plane = *state_->agreements[state_->nesting - 1];
  const std::vector<std::string> texts = plane.all_gather(std::to_string(mine.kind) + mine.message);
  std::vector<int> failed;
  bool all_user_errors = true;
  for (int rank = 0; rank < world_size(); ++rank) {
    const auto kind = static_cast<Outcome::Kind>(texts[static_cast<size_t>(rank)][0] - '0');
    if (kind == Outcome::interrupted) state_->watchdog->set_out_of_step();
    if (kind == Outcome::ok || kind == Outcome::interrupted) continue;
    failed.push_back(rank);
    all_user_errors = all_user_errors && kind == Outcome::user_error;
  }
  core::require(!failed.empty(), "a rank was called out of its work but none failed");
  const std::string& first = texts[static_cast<size_t>(failed[0])];
  const bool all_alike =
      std::all_of(texts.begin(), texts.end(), [&](const std::string& text) { return text == first; });
  const std::string message = (all_alike ? "" : fmt::format("rank {}: ", failed[0])) + first.substr(1);
  if (all_user_errors) throw core::UserError(message);
  throw core::Fault(message);
}

std::int64_t Session::agree_on_kind(const Outcome& mine, std::int64_t agreement) {
  const bool failed = mine.kind == Outcome::user_error || mine.kind == Outcome::fault;
  const auto begin = std::chrono::steady_clock::now();
  bool called = false;
  const auto call_others = [&] {
    if (!failed || called || std::chrono::steady_clock::now() - begin < kBeforeCalling) return;
    state_->watchdog->tell_failure(agreement);
    called = true;
  };
  try {
    return state_->agreements[state_->nesting - 1]->all_max(mine.kind, call_others);
  } catch (const WaitTimeout& timeout) {
    if (!failed) throw;
    throw WaitTimeout(fmt::format("rank {}: {} (and then: {})", rank(), mine.message, timeout.what()));
  }
}

}  // namespace allreco::dist
