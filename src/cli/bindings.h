// What several subcommands share: options of the process, and checks of what was given.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "cli/options.h"
#include "dist/session.h"

namespace allreco::cli {

/// Options of every command that computes.
struct RuntimeOptions {
  std::int64_t threads = 0;
  std::string log_level = "info";

  core::OptionGroups options();
};
/// Collective. Sets threads and log level; logs what was set.
void apply(const RuntimeOptions& options, dist::Session& session);

/// Parses; where --help is asked for, prints it on rank 0 and returns false.
bool parse_or_help(OptionList& list, const std::vector<std::string>& arguments, const dist::Session& session);

/// UserError under mpirun with more than one rank.
void require_one_rank(const dist::Session& session, const std::string& command);

/// UserError naming the option unless it has a value.
void require_option(const std::string& name, const std::string& value);

}  // namespace allreco::cli
