// A product's title: cleaning is idempotent, and what it leaves is UTF-8 again.
#include "core/check.h"
#include "data/input/titles.h"
#include "fuzz/target.h"

namespace allreco::fuzz {

void title(Input input) {
  if (!is_utf8(input)) return;
  core::require(is_utf8(data::decode_html_entities(input)), "decoded entities are UTF-8");
  const data::CleanTitle clean = data::clean_title(input, 50);
  core::require(is_utf8(clean.text), "a clean title is UTF-8");
  if (clean.problem != data::TitleProblem::none) return;
  const data::CleanTitle again = data::clean_title(clean.text, 50);
  core::require(again.text == clean.text && !again.was_cut, "cleaning a clean title changes nothing");
}

}  // namespace allreco::fuzz
