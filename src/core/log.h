// Logging through spdlog, which stays inside log.cpp: lines go to stderr, rank 0 says everything, other ranks only
// warnings.
#pragma once
#include <fmt/core.h>

#include <string>
#include <utility>

namespace allreco::core {

enum class LogLevel { debug, info, warning, error };

/// Call once, after MPI is up. `level` is one of debug, info, warning, error. Ranks other than 0 are raised to at least
/// warning. With world_size 1 lines carry no rank.
void set_up_log(int rank, int world_size, const std::string& level = "info");
void write_log(LogLevel level, const std::string& message);

template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  write_log(LogLevel::info, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  write_log(LogLevel::warning, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  write_log(LogLevel::error, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace allreco::core
