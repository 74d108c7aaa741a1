// ItemTable: every item that was reviewed, with its title, the same on all ranks: what reviews are joined with.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/json.h"
#include "data/input/metadata.h"
#include "data/prepare/prepare_context.h"

namespace allreco::data {

/// Gives equal texts one number, in the order in which they come.
class ItemNumbers {
 public:
  std::uint32_t number_of(std::string_view item);
  /// The texts by number; the object is empty afterwards.
  std::vector<std::string> take();

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  std::unordered_map<std::string, std::uint32_t, Hash, std::equal_to<>> numbers_;
};

struct ItemTable {
  static constexpr std::uint32_t kNoTitle = 0xFFFFFFFF;

  std::vector<std::string> items;        // sorted
  std::vector<CleanTitle> titles;        // of items; unusable ones too, with their problem
  std::vector<ItemDetails> details;      // of items
  std::vector<bool> has_metadata;        // of items
  std::vector<std::uint32_t> title_ids;  // of items: equal for equal titles; kNoTitle where unusable
  core::Json counts;                     // items reviewed, without metadata, with unusable title, titles cut, ...
  core::Json lines;                      // report_files of the metadata

  /// REQUIRES an item of the table.
  std::uint32_t place_of(std::string_view item) const;
};

/// Collective. `my_items`: of this rank's reviews, all different. Of repeated metadata rows the first counts, in the
/// order of files. UserError as MetadataReader, and when the items are too many for the memory.
ItemTable join_items(const PrepareContext& context, const std::vector<std::string>& my_items, const std::string& files,
                     const TitleRules& rules, double max_bad_share);

}  // namespace allreco::data
