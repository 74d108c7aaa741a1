// What the program says. Logging through spdlog, which stays inside log.cpp: lines go to stderr, rank 0 says
// everything, other ranks only warnings. Results go to stdout. Both leave through here, with whatever is no text
// escaped (core/text.h); tests/lint/boundary.py keeps it so.
#pragma once
#include <fmt/core.h>

#include <string>
#include <string_view>
#include <utility>

#include "core/text.h"

namespace allreco::core {

enum class LogLevel { debug, info, warning, error };

/// Call once, after MPI is up. `level` is one of debug, info, warning, error. Ranks other than 0 are raised to at least
/// warning. With world_size 1 lines carry no rank.
void set_up_log(int rank, int world_size, const std::string& level = "info");
/// `lines`: whose line ends are the program's own.
void write_log(LogLevel level, const std::string& lines);
/// A result (a table, JSON, help) on stdout, flushed.
void write_output(std::string_view lines);

template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  write_log(LogLevel::info, message<Args...>(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  write_log(LogLevel::warning, message<Args...>(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  write_log(LogLevel::error, message<Args...>(format, std::forward<Args>(args)...));
}

}  // namespace allreco::core
