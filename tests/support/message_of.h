// What an error says.
#pragma once
#include <string>

#include "core/check.h"

namespace allreco::support {

/// The message of the `Error` that `call` throws; empty when it throws nothing. Another type passes.
template <class Error = core::UserError, class Call>
[[nodiscard]] std::string message_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

}  // namespace allreco::support
