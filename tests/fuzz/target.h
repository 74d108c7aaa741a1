// A fuzz target: one function that hands bytes to a reader as a file from elsewhere would, in targets/<name>.cpp.
// Within it a core::UserError is the right answer to hostile bytes; anything else that leaves it (another exception, a
// sanitizer's report, a crash, a hang, much memory) is a finding. fuzz.cpp runs one target under libFuzzer, replay.cpp
// every file of tests/fuzz/corpus/<name> in an ordinary build. A new file in targets/ is all that a new target needs.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "support/temporary_directory.h"

namespace allreco::fuzz {

using Input = std::string_view;

struct Target {
  std::string_view name;
  void (*run)(Input);
};
/// Every <name> of targets/<name>.cpp, with its function allreco::fuzz::<name>; in a file that CMake writes.
const std::vector<Target>& targets();
/// UserError listing the known names.
const Target& find_target(std::string_view name);

/// Runs it; a UserError is fine and ends here.
void run_target(const Target& target, Input input);

/// Exactly `count` pieces, separated by lines of "%%" (the last takes the rest, missing ones are empty): targets that
/// read several files have them all in one input.
std::vector<Input> split(Input input, size_t count);

/// A safetensors file: `piece` itself, but when it begins with '{' it is the header, up to a line of "==", and the
/// data; the header's length is put before it. Mutations of a header then need not hit its length, too.
std::string as_safetensors(Input piece);

/// Whether nlohmann takes it for UTF-8: what functions on texts of JSON files may rely on.
bool is_utf8(Input text);

/// `text` with the first `mark`, if any, replaced.
std::string with(Input text, std::string_view mark, std::string_view replacement);

/// What a target's reader opens.
class Directory : public support::TemporaryDirectory {
 public:
  /// Writes a file of it and returns its path.
  std::filesystem::path write(const std::string& name, std::string_view bytes) const;
};

}  // namespace allreco::fuzz
