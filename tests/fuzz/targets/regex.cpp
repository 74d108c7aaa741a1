// A pattern from a config, and what it is matched against.
#include "core/regex.h"

#include "fuzz/target.h"

namespace allreco::fuzz {

void regex(Input input) {
  const auto pieces = split(input, 2);
  const std::string pattern(pieces[0]);
  const core::Regex regex("pattern", pattern);
  for (size_t begin = 0; const auto found = regex.search(pieces[1], begin);) {
    if ((*found)[0]->end <= begin) break;
    begin = (*found)[0]->end;
  }
  regex.match_prefix(pieces[1]);
  regex.matches_all(pieces[1]);
}

}  // namespace allreco::fuzz
