#include "recommend/request.h"

#include <algorithm>

#include "data/tokenizer/unicode.h"

namespace allreco::recommend {

using core::Json;

namespace {

constexpr std::string_view kBlanks = " \t\r\n";

template <class... Args>
[[noreturn]] void refuse(RequestError::Kind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw RequestError(kind, core::message<Args...>(format, std::forward<Args>(args)...));
}

template <class... Args>
[[noreturn]] void malformed(fmt::format_string<Args...> format, Args&&... args) {
  refuse<Args...>(RequestError::Kind::malformed, format, std::forward<Args>(args)...);
}

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(kBlanks);
  return first == std::string_view::npos ? std::string_view()
                                         : text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

void check_length(std::string_view text) {
  if (text.size() > kLongestRequest)
    refuse(RequestError::Kind::too_long, "a request may have {} bytes; this one has more", kLongestRequest);
}

void check_count(size_t count) {
  if (count == 0) malformed("the history is empty: a recommendation needs at least one item");
  if (count > kMostHistoryItems) malformed("the history has {} items, at most {} may be", count, kMostHistoryItems);
}

std::vector<ItemName> history_of(const Json& json) {
  if (!json.is_array()) malformed("\"history\" must be a list of ids, asins or titles");
  check_count(json.size());
  std::vector<ItemName> history;
  for (const Json& name : json) {
    if (name.is_string()) {
      history.emplace_back(name.get<std::string>());
    } else if (const auto id = core::whole_number<std::int64_t>(name)) {
      history.emplace_back(*id);
    } else {
      malformed("\"history\" holds {}, which is neither an id (a whole number) nor an asin or title (a text)",
                std::string_view(name.type_name()));
    }
  }
  return history;
}

std::int64_t k_of(const Json& json) {
  const auto k = core::whole_number<std::int64_t>(json);
  if (!k || *k < 1 || *k > kMostRecommendations)
    malformed("\"k\" must be a whole number, 1 to {}", kMostRecommendations);
  return *k;
}

Request request_of(const Json& json, Request request) {
  bool has_history = false;
  for (const auto& [key, value] : json.items()) {
    if (key == "history") {
      request.history = history_of(value);
      has_history = true;
    } else if (key == "k") {
      request.k = k_of(value);
    } else if (key == "exclude_history") {
      if (!value.is_boolean()) malformed("\"exclude_history\" must be true or false");
      request.exclude_history = value.get<bool>();
    } else if (key == "id") {
      request.id = value;
    } else {
      malformed("\"{}\" is no member of a request; there are history, k, exclude_history and id", key);
    }
  }
  if (!has_history) malformed("\"history\" is missing: a list of ids, asins or titles, oldest first");
  return request;
}

std::vector<ItemName> cut_at(std::string_view text, char separator) {
  std::vector<ItemName> names;
  while (true) {
    const size_t end = text.find(separator);
    if (const std::string_view name = trimmed(text.substr(0, end)); !name.empty())
      names.emplace_back(std::string(name));
    if (end == std::string_view::npos) return names;
    text.remove_prefix(end + 1);
  }
}

}  // namespace

Request parse_request(std::string_view text, const Request& defaults) {
  check_length(text);
  Json json;
  try {
    json = core::parse_json(text, "the request");
  } catch (const core::UserError& e) {
    throw RequestError(RequestError::Kind::malformed, e.what());
  }
  if (!json.is_object()) malformed("a request is a JSON object with a \"history\"");
  try {
    return request_of(json, defaults);
  } catch (const RequestError& e) {
    if (!json.contains("id")) throw;
    throw RequestError(e.kind(), e.what(), {{"id", json["id"]}});
  }
}

Request parse_plain_request(std::string_view text, const Request& defaults, const ItemIndex& index) {
  check_length(text);
  const std::string valid = data::to_valid_utf8(trimmed(text));
  Request request = defaults;
  if (valid.find('|') != std::string::npos) {
    request.history = cut_at(valid, '|');
  } else if (!valid.empty() && !index.find(valid).empty()) {
    request.history = {valid};
  } else {
    request.history = cut_at(valid, ',');
  }
  check_count(request.history.size());
  return request;
}

Request parse_line(std::string_view line, const Request& defaults, const ItemIndex& index) {
  return trimmed(line).starts_with('{') ? parse_request(line, defaults) : parse_plain_request(line, defaults, index);
}

}  // namespace allreco::recommend
