#include "core/users_mistake.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>

#include "core/check.h"
#include "core/json.h"

namespace allreco::core {

namespace {

/// Not among them: an I/O error or a server that is gone, after which a run may be started again as it is.
constexpr std::array kUsers{std::errc::no_such_file_or_directory,
                            std::errc::permission_denied,
                            std::errc::operation_not_permitted,
                            std::errc::filename_too_long,
                            std::errc::not_a_directory,
                            std::errc::is_a_directory,
                            std::errc::file_exists,
                            std::errc::read_only_file_system,
                            std::errc::too_many_symbolic_link_levels,
                            std::errc::no_space_on_device,
                            std::errc::directory_not_empty,
                            std::errc::invalid_argument};

}  // namespace

std::optional<std::string> users_mistake(const std::exception& error) {
  if (dynamic_cast<const UserError*>(&error) != nullptr) return error.what();
  if (const auto* file = dynamic_cast<const std::filesystem::filesystem_error*>(&error)) {
    const auto is_same = [&](std::errc code) { return file->code() == code; };
    if (std::any_of(kUsers.begin(), kUsers.end(), is_same)) return printable(error.what());
  }
  if (dynamic_cast<const nlohmann::json::exception*>(&error) != nullptr)
    return message("a JSON document, or a text for one, is not as expected: {}", error.what());
  return std::nullopt;
}

}  // namespace allreco::core
