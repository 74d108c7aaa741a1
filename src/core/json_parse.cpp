#include "core/json_parse.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace allreco::core {

namespace {

using Members = Json::object_t;

bool has_repeated_key(const Members& members) {
  constexpr size_t kFew = 16;  // as in a line of reviews: looking through them beats sorting them
  if (members.size() <= kFew) {
    for (auto member = members.begin(); member != members.end(); ++member) {
      if (std::any_of(members.begin(), member, [&](const auto& other) { return other.first == member->first; }))
        return true;
    }
    return false;
  }
  std::vector<std::string_view> keys;
  keys.reserve(members.size());
  for (const auto& [key, value] : members) keys.emplace_back(key);
  std::sort(keys.begin(), keys.end());
  return std::adjacent_find(keys.begin(), keys.end()) != keys.end();
}

/// The last value of each key, in the place of the first.
Members without_repeated_keys(Members members) {
  std::vector<Members::iterator> sorted;
  for (auto member = members.begin(); member != members.end(); ++member) sorted.push_back(member);
  std::stable_sort(sorted.begin(), sorted.end(), [](auto a, auto b) { return a->first < b->first; });
  std::vector<bool> is_first(members.size(), true);
  for (size_t i = 0, first = 0; i < sorted.size(); ++i) {
    if (sorted[i]->first != sorted[first]->first) first = i;
    if (i == first) continue;
    sorted[first]->second = std::move(sorted[i]->second);
    is_first[static_cast<size_t>(sorted[i] - members.begin())] = false;
  }
  Members kept;
  for (auto member = members.begin(); member != members.end(); ++member) {
    if (is_first[static_cast<size_t>(member - members.begin())])
      kept.emplace_back(member->first, std::move(member->second));
  }
  return kept;
}

/// Takes the events of nlohmann's parser. Only the innermost open value grows, so the pointers to the open ones hold.
class Builder {
 public:
  explicit Builder(Json& root) : root_(root) {}

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(Json::number_integer_t value) { return add(value); }
  bool number_unsigned(Json::number_unsigned_t value) { return add(value); }
  bool number_float(Json::number_float_t value, const std::string&) { return add(value); }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(Json::binary_t&) { return false; }  // JSON has none
  bool key(std::string& key) {
    open_.back()->get_ref<Members&>().emplace_back(std::move(key), nullptr);
    return true;
  }
  bool start_object(std::size_t) { return open(Json::object()); }
  bool start_array(std::size_t) { return open(Json::array()); }
  bool end_object() {
    auto& members = open_.back()->get_ref<Members&>();
    if (has_repeated_key(members)) members = without_repeated_keys(std::move(members));
    return end_array();
  }
  bool end_array() {
    open_.pop_back();
    return true;
  }
  template <class Exception>
  bool parse_error(std::size_t, const std::string&, const Exception& error) {
    throw error;
  }

 private:
  template <class Value>
  bool add(Value&& value) {
    place() = std::forward<Value>(value);
    return true;
  }
  bool open(Json&& empty) {
    Json& here = place();
    here = std::move(empty);
    open_.push_back(&here);
    return true;
  }
  Json& place() {
    if (open_.empty()) return root_;
    if (open_.back()->is_object()) return open_.back()->get_ref<Members&>().back().second;
    return open_.back()->emplace_back();
  }

  Json& root_;
  std::vector<Json*> open_;
};

}  // namespace

Json parsed(std::string_view text) {
  Json value;
  Builder builder(value);
  Json::sax_parse(text, &builder);
  return value;
}

}  // namespace allreco::core
