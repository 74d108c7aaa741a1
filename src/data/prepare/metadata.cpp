#include "data/prepare/metadata.h"

#include <fmt/format.h>

#include "core/check.h"
#include "data/prepare/json_lines.h"

namespace allreco::data {
namespace {

std::string clean_text(const std::string* raw, std::int64_t max_length) {
  return raw == nullptr ? "" : clean_title(*raw, max_length).text;
}

/// "brand, category (asin)" of what there is; the category is the narrowest of the path. The asin makes it one item's
/// own: a publisher has many magazines of a kind.
CleanTitle describe(const core::Json& object, const std::string& asin, std::int64_t max_length) {
  const std::string brand = clean_text(find_string(object, "brand"), max_length);
  const auto path = object.find("category");
  const bool has_category = path != object.end() && path->is_array() && !path->empty() && path->back().is_string();
  const std::string category =
      has_category ? clean_text(path->back().get_ptr<const std::string*>(), max_length) : std::string();
  const std::string separator = brand.empty() || category.empty() ? "" : ", ";
  const std::string about = brand + separator + category;
  if (about.empty()) return clean_title(asin, max_length);
  const std::string name = fmt::format(" ({})", asin);
  const std::int64_t left = max_length - std::ssize(name);
  return left > 0 ? clean_title(clean_title(about, left).text + name, max_length) : clean_title(asin, max_length);
}

}  // namespace

Metadata read_metadata(const std::filesystem::path& path, const std::unordered_set<std::string>& wanted_asins,
                       const TitleRules& rules, double max_bad_share) {
  Metadata metadata;
  JsonLines lines(path, max_bad_share);
  core::Json object;
  while (lines.next(object)) {
    const std::string* asin = find_string(object, "asin");
    if (asin == nullptr && object.contains("parent_asin"))
      core::user_error(
          "{} holds metadata of Amazon 2023 (parent_asin); --metadata reads 2018's. Rewrite it: jq -c '. + {{asin: "
          ".parent_asin}}'",
          path.string());
    if (asin == nullptr || asin->empty()) {
      lines.reject("no asin (a text) in it");
      continue;
    }
    if (!wanted_asins.contains(*asin)) continue;
    const std::string* title = find_string(object, "title");
    const auto [place, is_new] = metadata.titles.try_emplace(*asin);
    if (is_new) {
      place->second = clean_title(title == nullptr ? "" : *title, rules.max_length);
      if (rules.describe_untitled && place->second.problem != TitleProblem::none) {
        place->second = describe(object, *asin, rules.max_length);
        ++metadata.num_described;
      }
    } else {
      ++metadata.num_repeated;
    }
  }
  metadata.lines = lines.report();
  return metadata;
}

}  // namespace allreco::data
