#include "data/input/sequences.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "core/check.h"
#include "core/random.h"
#include "data/input/line_reader.h"
#include "data/input/titles.h"

namespace allreco::data {

namespace {

/// Calls take(first word, rest) for each line that is not blank.
template <class Take>
void for_each_line(const std::filesystem::path& path, const char* form, bool needs_rest, const Take& take) {
  LineReader reader(path);
  std::set<std::string> seen;
  for (std::string line; reader.next(line);) {
    const size_t end = line.find_first_of(" \t");
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    const std::string rest = end == std::string::npos ? "" : line.substr(end + 1);
    if (end == 0 || (needs_rest && rest.find_first_not_of(" \t") == std::string::npos))
      core::user_error("{}, line {}: `{}` is expected", path.string(), reader.line_number(), form);
    if (!seen.insert(line.substr(0, end)).second)
      core::user_error("{}, line {}: {} has a line already", path.string(), reader.line_number(), line.substr(0, end));
    take(line.substr(0, end), rest);
  }
}

using TitlesByItem = std::map<std::string, CleanTitle>;  // by item

/// The items that are bought, in order; each one's place is its id.
std::map<std::string, std::uint32_t> build_catalogue(const std::map<std::string, std::vector<std::string>>& users,
                                                     const TitlesByItem& titles, Shoppers& result) {
  std::map<std::string, std::uint32_t> ids, title_ids;
  std::int64_t num_without_text = 0;
  for (const auto& [user, items] : users)
    for (const std::string& item : items) ids.try_emplace(item, 0);
  for (auto& [item, id] : ids) {
    const auto title = titles.find(item);
    const bool has_text = title != titles.end() && title->second.problem == TitleProblem::none;
    num_without_text += !has_text;
    const std::string& text = has_text ? title->second.text : item;
    const auto title_id = title_ids.try_emplace(text, static_cast<std::uint32_t>(title_ids.size())).first->second;
    id = static_cast<std::uint32_t>(result.catalogue.size());
    result.catalogue.push_back({item, text, title_id});
  }
  result.catalogue_counts = {{"catalogue", result.catalogue.size()}, {"items_without_text", num_without_text}};
  return ids;
}

Shopper shopper_of(const std::string& user, const std::vector<std::string>& items,
                   const std::map<std::string, std::uint32_t>& ids, Shoppers& result) {
  Shopper shopper{core::key_of(user), {}, {}};
  std::set<std::uint32_t> titles;
  for (const std::string& item : items) {
    const std::uint32_t id = ids.at(item);
    shopper.purchases.push_back({.item = id});
    titles.insert(result.catalogue[id].title_id);
  }
  shopper.bought_titles.assign(titles.begin(), titles.end());
  result.counts.rows += std::ssize(items);
  result.counts.kept += std::ssize(items);
  return shopper;
}

}  // namespace

Shoppers read_sequences(const std::filesystem::path& sequences, const std::filesystem::path& items,
                        std::int64_t max_title_length) {
  TitlesByItem titles;
  for_each_line(items, "item text", false, [&](const std::string& item, const std::string& text) {
    titles.emplace(item, clean_title(text, max_title_length));
  });
  std::map<std::string, std::vector<std::string>> users;
  for_each_line(sequences, "user item item ...", true, [&](const std::string& user, const std::string& bought) {
    std::istringstream words(bought);
    for (std::string item; words >> item;) users[user].push_back(item);
  });
  Shoppers result;
  const auto ids = build_catalogue(users, titles, result);
  for (const auto& [user, bought] : users) result.shoppers.push_back(shopper_of(user, bought, ids, result));
  return result;
}

}  // namespace allreco::data
