// ItemIndex: which item of the catalogue somebody means by an id, an asin or a title, also one that is spelt a little
// differently. Immutable: any thread may call it.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/store/dataset.h"

namespace allreco::recommend {

class ItemIndex {
 public:
  explicit ItemIndex(std::vector<data::Item> items);
  ItemIndex(const ItemIndex&) = delete;  // its maps point into its own texts
  ItemIndex& operator=(const ItemIndex&) = delete;

  const std::vector<data::Item>& items() const { return items_; }
  const data::Item& item(std::uint32_t id) const { return items_[id]; }

  /// The items with this asin, else this title, else this id (in digits), else this title when case, white space,
  /// Unicode's compatible forms and HTML entities do not count; empty: none. Several items may share a title: the one
  /// that train knows best comes first. Any bytes are taken.
  std::span<const std::uint32_t> find(std::string_view text) const;
  std::span<const std::uint32_t> find(std::int64_t id) const;

  /// The item whose title or asin shares most groups of three bytes with the text's beginning; none: none shares any. A
  /// few nanoseconds a byte of the catalogue.
  std::optional<std::uint32_t> nearest(std::string_view text) const;

 private:
  using Items = std::vector<std::uint32_t>;
  void sort_by_popularity(Items& items) const;

  std::vector<data::Item> items_;
  std::vector<Items> by_id_;  // each alone
  std::unordered_map<std::string_view, Items> by_asin_, by_title_;
  std::unordered_map<std::string, Items> by_folded_title_;
};

/// The text in lower case and compatible forms, white space as single blanks, none at the ends.
std::string folded(std::string_view text);

}  // namespace allreco::recommend
