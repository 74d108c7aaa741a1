// The subcommands: each parses its options, wires the parts and returns the exit code.
#pragma once
#include <string>
#include <vector>

#include "dist/session.h"

namespace allreco::cli {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFault = 1;
inline constexpr int kExitUserError = 2;
inline constexpr int kExitWarnings = 3;  // of audit --strict
inline constexpr int kExitRequeue = 85;  // stopped by a signal after saving

using Arguments = std::vector<std::string>;

int prepare_command(dist::Session& session, const Arguments& arguments);
int audit_command(dist::Session& session, const Arguments& arguments);
int train_command(dist::Session& session, const Arguments& arguments);
int evaluate_command(dist::Session& session, const Arguments& arguments);
int compare_command(dist::Session& session, const Arguments& arguments);
int recommend_command(dist::Session& session, const Arguments& arguments);
int report_command(dist::Session& session, const Arguments& arguments);
int quantize_command(dist::Session& session, const Arguments& arguments);
int export_command(dist::Session& session, const Arguments& arguments);
int inspect_command(dist::Session& session, const Arguments& arguments);
int bench_command(dist::Session& session, const Arguments& arguments);
int doctor_command(dist::Session& session, const Arguments& arguments);

struct Command {
  const char* name;
  const char* summary;
  int (*run)(dist::Session&, const Arguments&);
  const char* memory_advice = "";  // when memory runs out, of its own options
};
const std::vector<Command>& commands();

/// What core::failure_text is to advise; empty: nothing that is this command's own.
std::string memory_advice(const Arguments& arguments);

/// `allreco --help`.
std::string overview();

/// Runs `allreco <arguments...>`; UserError for an unknown command, with the overview.
int run_command(dist::Session& session, const Arguments& arguments);

}  // namespace allreco::cli
