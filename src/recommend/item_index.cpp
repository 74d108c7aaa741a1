#include "recommend/item_index.h"

#include <algorithm>
#include <bitset>
#include <charconv>

#include "data/input/titles.h"
#include "data/tokenizer/unicode.h"

namespace allreco::recommend {

namespace {

constexpr size_t kLongestComparedText = 256;  // bytes of it that nearest() looks at
constexpr size_t kGroup = 3;                  // bytes

/// Calls use(number of 24 bits) for each group of three bytes; " ab " for a text "ab", so that ends count, too.
template <class Use>
void for_each_group(std::string_view text, const Use& use) {
  std::uint32_t group = ' ';
  size_t num_bytes = 1;
  const auto take = [&](char c) {
    group = (group << 8 | static_cast<unsigned char>(c)) & 0xFFFFFF;
    if (++num_bytes >= kGroup) use(group);
  };
  for (const char c : text) take(c);
  take(' ');
}

/// What texts are compared with.
class Groups {
 public:
  explicit Groups(std::string_view text) {
    for_each_group(text, [&](std::uint32_t group) {
      maybe_.set(place_of(group));
      groups_.push_back(group);
    });
    std::sort(groups_.begin(), groups_.end());
    groups_.erase(std::unique(groups_.begin(), groups_.end()), groups_.end());
  }

  /// Dice's coefficient, 0 to 1; a group that `text` repeats counts as often.
  double likeness(std::string_view text) const {
    size_t count = 0, shared = 0;
    for_each_group(text, [&](std::uint32_t group) {
      ++count;
      shared += maybe_.test(place_of(group)) && std::binary_search(groups_.begin(), groups_.end(), group);
    });
    shared = std::min(shared, groups_.size());
    return count == 0 ? 0 : 2.0 * static_cast<double>(shared) / static_cast<double>(count + groups_.size());
  }

 private:
  static constexpr size_t kPlaces = 1 << 16;
  static size_t place_of(std::uint32_t group) { return (group * 2654435761u) >> 16; }

  std::vector<std::uint32_t> groups_;  // sorted
  std::bitset<kPlaces> maybe_;         // so that most others are known at once
};

}  // namespace

std::string folded(std::string_view text) {
  const std::string plain = data::lower_case(data::normalize(data::to_valid_utf8(text), data::Form::nfkc));
  std::string result;
  data::for_each_character(plain, [&](char32_t c, size_t begin, size_t end) {
    if (!data::is_white_space(c)) {
      result.append(plain, begin, end - begin);
    } else if (!result.empty() && result.back() != ' ') {
      result += ' ';
    }
  });
  if (result.ends_with(' ')) result.pop_back();
  return result;
}

ItemIndex::ItemIndex(std::vector<data::Item> items) : items_(std::move(items)) {
  for (const data::Item& item : items_) {
    by_id_.push_back({item.id});
    if (!item.asin.empty()) by_asin_[item.asin].push_back(item.id);
    by_title_[item.title].push_back(item.id);
    by_folded_title_[folded(item.title)].push_back(item.id);
  }
  for (auto* map : {&by_asin_, &by_title_})
    for (auto& [text, same] : *map) sort_by_popularity(same);
  for (auto& [text, same] : by_folded_title_) sort_by_popularity(same);
}

void ItemIndex::sort_by_popularity(Items& items) const {
  std::stable_sort(items.begin(), items.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return items_[a].train_count > items_[b].train_count; });
}

std::span<const std::uint32_t> ItemIndex::find(std::int64_t id) const {
  if (id < 0 || id >= std::ssize(items_)) return {};
  return by_id_[static_cast<size_t>(id)];
}

std::span<const std::uint32_t> ItemIndex::find(std::string_view text) const {
  for (const auto* map : {&by_asin_, &by_title_})
    if (const auto found = map->find(text); found != map->end()) return found->second;
  std::int64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error == std::errc() && end == text.data() + text.size() && !find(id).empty()) return find(id);
  const std::string valid = data::to_valid_utf8(text);
  const auto length = static_cast<std::int64_t>(std::max<size_t>(valid.size(), 1));
  for (const std::string& spelling : {valid, data::clean_title(valid, length).text}) {
    const auto found = by_folded_title_.find(folded(spelling));
    if (found != by_folded_title_.end()) return found->second;
  }
  return {};
}

std::optional<std::uint32_t> ItemIndex::nearest(std::string_view text) const {
  const Groups groups(folded(text.substr(0, kLongestComparedText)));
  std::optional<std::uint32_t> best;
  double most = 0;
  const auto consider = [&](double likeness, std::uint32_t item) {
    if (likeness < most || likeness == 0 || (likeness == most && best && *best < item)) return;
    most = likeness;
    best = item;
  };
  for (const auto& [title, same] : by_folded_title_) consider(groups.likeness(title), same.front());
  for (const auto& [asin, same] : by_asin_) consider(groups.likeness(folded(asin)), same.front());
  return best;
}

}  // namespace allreco::recommend
