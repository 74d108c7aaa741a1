// Errors: one idiom, two types. Throw; only main catches for good and turns the type into the exit code.
// Texts among a message's arguments are escaped (core/text.h): whatever a file is called, a message stays one.
#pragma once
#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <type_traits>
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

/// A line of the sources: by default that of the call which has it as a default argument. The built-ins in place of
/// std::source_location, which clang 14 (clang-tidy, the fuzzers) does not know.
struct SourceLine {
  static constexpr SourceLine current(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
  const char* file;
  int line;
};

/// "text [train/train_step.cpp:180]", the file relative to src.
std::string with_place(const std::string& text, SourceLine place);

/// A message's format, checked at compile time as fmt::format_string does it, and where it stands.
template <class... Args>
struct FormatAt {
  template <class Text>
  FMT_CONSTEVAL FormatAt(const Text& text, SourceLine here = SourceLine::current()) : format(text), place(here) {}

  fmt::format_string<Args...> format;
  SourceLine place;
};

/// The message ends with where it was made: a fault is for those who can look there.
template <class... Args>
[[noreturn]] void fault(FormatAt<std::type_identity_t<Args>...> format, Args&&... args) {
  throw Fault(with_place(message<Args...>(format.format, std::forward<Args>(args)...), format.place));
}

/// Throws a Fault unless `condition` holds. For what the program itself must guarantee.
void require(bool condition, const char* message, SourceLine place = SourceLine::current());

}  // namespace allreco::core
