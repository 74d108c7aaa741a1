// Runs the program as a user does, and reads what it wrote.
#pragma once
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "core/check.h"
#include "core/json.h"
#include "support/temporary_directory.h"

namespace allreco::cli::testing {

struct Outcome {
  int exit_code = -1;
  std::string output;  // stdout and stderr
};

/// Runs a shell command.
inline Outcome run_shell(const std::string& command) {
  FILE* pipe = ::popen(("( " + command + " ) 2>&1").c_str(), "r");
  core::require(pipe != nullptr, "popen failed");
  Outcome outcome;
  std::array<char, 4096> buffer{};
  for (size_t n = 0; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    outcome.output.append(buffer.data(), n);
  const int status = ::pclose(pipe);
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome;
}

/// `allreco <arguments>`, alone (ranks 0) or under mpirun.
inline std::string program(int ranks, const std::string& arguments) {
  const std::string alone = std::string(ALLRECO_BINARY) + " " + arguments;
  if (ranks == 0) return alone;
  return "mpirun --oversubscribe --bind-to none -n " + std::to_string(ranks) + " " + alone;
}

/// For --tokens: rows that are all alike.
inline std::string token_rows(int count, const std::string& row) {
  std::string rows;
  for (int i = 0; i < count; ++i) rows += row + "\n";
  return rows;
}

inline Outcome run_program(int ranks, const std::string& arguments) { return run_shell(program(ranks, arguments)); }

/// The lines of metrics.jsonl that carry a training loss.
inline std::vector<core::Json> training_metrics(const std::filesystem::path& output_dir) {
  std::ifstream file(output_dir / "metrics.jsonl");
  std::vector<core::Json> lines;
  for (std::string line; std::getline(file, line);) {
    core::Json json = core::Json::parse(line);
    if (json.contains("loss")) lines.push_back(std::move(json));
  }
  return lines;
}

inline std::filesystem::path source(const std::string& relative) {
  return std::filesystem::path(ALLRECO_SOURCE_DIR) / relative;
}
inline std::filesystem::path golden(const std::string& relative) { return source("tests/fixtures/golden/" + relative); }

/// A directory whose paths are texts, as command lines are made of.
class Scratch : public support::TemporaryDirectory {
 public:
  std::string operator/(const std::string& name) const { return (path() / name).string(); }
};

}  // namespace allreco::cli::testing
