// Which errors of libraries are the user's to repair, like core::UserError, and not the program's: exit code 2.
#pragma once
#include <exception>
#include <optional>
#include <string>

namespace allreco::core {

/// The message, or none for any other error. Of the user's making are UserError itself; a path that does not exist, may
/// not be read or written, is too long or on a full disk; and a JSON document that is not what it should be.
std::optional<std::string> users_mistake(const std::exception& error);

}  // namespace allreco::core
