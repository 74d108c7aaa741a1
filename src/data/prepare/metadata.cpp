#include "data/prepare/metadata.h"

#include "data/prepare/json_lines.h"

namespace allreco::data {

Metadata read_metadata(const std::filesystem::path& path, const std::unordered_set<std::string>& wanted_asins,
                       std::int64_t max_title_length, double max_bad_share) {
  Metadata metadata;
  JsonLines lines(path, max_bad_share);
  core::Json object;
  while (lines.next(object)) {
    const std::string* asin = find_string(object, "asin");
    if (asin == nullptr || asin->empty()) {
      lines.reject("no asin (a text) in it");
      continue;
    }
    if (!wanted_asins.contains(*asin)) continue;
    const std::string* title = find_string(object, "title");
    const auto [place, is_new] = metadata.titles.try_emplace(*asin);
    if (is_new) {
      place->second = clean_title(title == nullptr ? "" : *title, max_title_length);
    } else {
      ++metadata.num_repeated;
    }
  }
  metadata.lines = lines.report();
  return metadata;
}

}  // namespace allreco::data
