// The one session of a test process (MPI starts once), and the scenarios that a failing run is made of.
#pragma once
#include <functional>
#include <map>
#include <string>

#include "dist/session.h"

namespace allreco::dist {

/// Made by main; in a lone process its world size is 1.
Session& test_session();

/// Plays a run that fails or is measured, see scenarios.cpp. Returns the exit code if it comes to an end.
int run_scenario(Session& session, const std::string& name);

/// Those on the NCCL plane, see nccl_scenarios.cpp.
std::map<std::string, std::function<int()>> nccl_scenarios(Session& session);

}  // namespace allreco::dist
