// A scripted stand-in for NCCL and a GPU: a stream that does its operations one after another, on CPU tensors, over an
// MPI communicator of its own (none in a lone process), so that the sums are real. A script makes one rank slow, lets a
// call fail, or hang. It holds its caller to NCCL's rules: a call that breaks one ends the process with kRuleBroken.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "dist/nccl_api.h"

namespace allreco::dist {

constexpr int kRuleBroken = 99;
constexpr int kNever = 1 << 30;

/// What goes wrong on this rank. Calls are counted from 0: init, then the collectives, an exchange of a tree sum being
/// one.
struct NcclScript {
  int polls_until_settled = 0;  // answers of async_status that a call is still being taken in
  int polls_until_ready = 0;    // queries for which the GPU has not come to an operation
  int fails_at = -1;            // the call that returns an error
  int fails_after = -1;         // the call that is taken in, and then fails in the background
  int never_settles_at = -1;    // the call that is never taken in
  int stops_at = -1;            // the call in which the process is stopped (SIGSTOP)
  int gpu_hangs_at = -1;        // the call that the GPU never comes to: a kernel before it hangs
  int never_done_at = -1;       // the call that never ends on the GPU
  bool finalize_fails = false;
  bool finalize_never_settles = false;
  bool abort_hangs = false;
};

/// The calls that were made, by name, without queries; outlives the double.
using NcclCalls = std::shared_ptr<std::vector<std::string>>;

/// Collective over the ranks of MPI, where it is up. Says on stderr when it is aborted.
std::unique_ptr<NcclApi> make_nccl_double(const NcclScript& script, NcclCalls calls);

}  // namespace allreco::dist
