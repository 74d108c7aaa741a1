#include "data/tokenizer/tokenizer_choice.h"

#include <array>
#include <string>

#include "core/check.h"
#include "core/files.h"
#include "core/log.h"
#include "data/tokenizer/tokenizer_backend.h"

namespace allreco::data {
namespace fs = std::filesystem;

namespace {

/// Each is tried alone, and every two of them joined: what is special about a character shows beside others.
constexpr std::array<const char*, 20> kFragments = {
    "the",        "Gift Card", " ",       "  ",     "\n",
    "\t",         "2018",      "16oz",    "don't",  "A) ",
    "&amp;",      "Caf\u00e9", "e\u0301", "\u8336", "\u0447\u0430\u0439",
    "\U0001F680", "--",        "...",     "x_y(z)", "</s>"};

/// Of all strings the first with different ids; empty: none.
std::string first_difference(const TokenizerBackend& a, const TokenizerBackend& b) {
  for (const char* first : kFragments) {
    if (a.encode(first) != b.encode(first)) return first;
    for (const char* second : kFragments) {
      const std::string text = std::string(first) + second;
      if (a.encode(text) != b.encode(text)) return text;
    }
  }
  return "";
}

/// Why the tokenizer.json is not taken; empty: it is.
std::string objection(const fs::path& json, const fs::path& model) {
  const auto peer = make_sentencepiece_backend(core::read_file(model), model);
  try {
    const auto own = make_json_backend(core::read_file(json), json);
    const std::string difference = first_difference(*own, *peer);
    return difference.empty() ? "" : fmt::format("the two give different ids for \"{}\"", difference);
  } catch (const core::UserError& error) {
    return error.what();
  }
}

}  // namespace

fs::path choose_tokenizer_file(const fs::path& json, const fs::path& model) {
  const std::string reason = objection(json, model);
  if (reason.empty()) return json;
  core::log_warning("{} is taken, not {}: {}. Name the file itself to choose the other", model.string(), json.string(),
                    reason);
  return model;
}

}  // namespace allreco::data
