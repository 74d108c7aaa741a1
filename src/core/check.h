// Errors: one idiom, two types. Throw; only main catches for good and turns the type into the exit code.
// Texts among a message's arguments are escaped (core/text.h): whatever a file is called, a message stays one.
#pragma once
#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <utility>

#include "core/text.h"

namespace allreco::core {

/// A mistake in what the user gave (options, files, combinations): exit code 2.
/// The message says what was expected, what was found, where, and what to do.
class UserError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Anything else that went wrong (a broken promise inside, a failing system call): exit code 1.
class Fault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

template <class... Args>
[[noreturn]] void user_error(fmt::format_string<Args...> format, Args&&... args) {
  throw UserError(message<Args...>(format, std::forward<Args>(args)...));
}

template <class... Args>
[[noreturn]] void fault(fmt::format_string<Args...> format, Args&&... args) {
  throw Fault(message<Args...>(format, std::forward<Args>(args)...));
}

/// Throws a Fault naming file and line unless `condition` holds. For what the program itself must guarantee.
void require(bool condition, const char* message, const char* file = __builtin_FILE(), int line = __builtin_LINE());

}  // namespace allreco::core
