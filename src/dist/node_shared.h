// NodeGroups: which ranks share a machine's memory, and a way from rank 0 to one rank of each node. NodeShared: one
// buffer per node in memory that all its ranks map, written once by the node's leader and then only read: for what is
// large and the same everywhere (frozen weights). Main thread only; every call is collective over all ranks unless it
// says otherwise.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>

#include "dist/session.h"

namespace allreco::dist {

class NodeMemory;

class NodeGroups {
 public:
  /// The nodes as MPI sees them (ranks that can share memory). No name or boot id says that: containers of one machine
  /// may have memory of their own.
  explicit NodeGroups(Session& session);
  /// Smaller groups: `node` is any number that this rank's group has to itself. Ranks of a group must be on one
  /// machine.
  NodeGroups(Session& session, std::int64_t node);
  ~NodeGroups();
  NodeGroups(const NodeGroups&) = delete;
  NodeGroups& operator=(const NodeGroups&) = delete;

  /// Not collective. The leader is the node's lowest rank; rank 0 leads its node.
  bool is_leader() const;
  int leader() const;  // its rank in the session
  int num_nodes() const;

  /// Rank 0's contents into each node leader's tensor, in place and on return; other ranks' tensors are neither read
  /// nor written, but need the same size. Contiguous, on the CPU, any size. On no rank does one wait span more than a
  /// piece of 64 MiB, so that the session's timeout measures a standstill and not the size.
  void broadcast_to_leaders(const at::Tensor& tensor) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class NodeShared {
 public:
  /// A buffer of `num_bytes` (the same on all ranks) on every node, zero at first. UserError when a node has no memory
  /// for it, or its ranks cannot open one another's memory.
  NodeShared(Session& session, const NodeGroups& nodes, std::int64_t num_bytes);

  /// Not collective. A tensor inside the buffer, which it keeps alive. Leaders may write to it until publish();
  /// everybody may read after that. A write at any other time ends the process.
  at::Tensor view(std::int64_t first_byte, at::IntArrayRef sizes, at::ScalarType dtype) const;

  /// Ends writing: what the leaders wrote is what every rank of their node reads from now on.
  void publish();

 private:
  Session& session_;
  std::shared_ptr<NodeMemory> memory_;
};

}  // namespace allreco::dist
