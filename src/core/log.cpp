#include "core/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "core/check.h"

namespace allreco::core {

void set_up_log(int rank, int world_size, const std::string& level) {
  spdlog::drop("allreco");  // set up again once the options are known
  auto logger = spdlog::stderr_color_mt("allreco");
  logger->set_pattern(world_size > 1 ? fmt::format("%H:%M:%S %^%l%$ [rank {}] %v", rank) : "%H:%M:%S %^%l%$ %v");
  auto wanted = spdlog::level::from_str(level);
  if (rank != 0 && wanted < spdlog::level::warn) wanted = spdlog::level::warn;
  logger->set_level(wanted);
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

void write_log(LogLevel level, const std::string& lines) {
  constexpr spdlog::level::level_enum levels[] = {spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                                                  spdlog::level::err};
  spdlog::default_logger_raw()->log(levels[static_cast<int>(level)], printable_lines(lines));
}

void write_output(std::string_view lines) {
  const std::string text = printable_lines(lines);
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    fault("cannot write to standard output: {}", std::strerror(errno));
}

}  // namespace allreco::core
