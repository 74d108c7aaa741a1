// What a rank says when a wait has passed its deadline: who is missing and where it was last seen, or what hangs when
// nobody is. Text from what the watchdog has gathered. Internal to dist.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "dist/control_channel.h"

namespace allreco::dist {

struct Hang {
  std::string_view operation;
  std::string_view if_all_wait;  // what may hang, and what to do, when every rank waits in this operation
  double timeout_seconds = 0;
  double now = 0;                           // seconds since 1970
  int rank = 0;                             // which speaks
  std::map<int, ControlMessage> answers;    // where the ranks are that say so, the speaker among them
  std::map<int, ControlMessage> last_seen;  // where ranks were when they were last heard of
  std::vector<std::string> hosts;           // of each rank
};

/// One line.
std::string describe(const Hang& hang);

}  // namespace allreco::dist
