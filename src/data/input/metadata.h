// Amazon's product files as published, one JSON object a line, of 2018 (asin, title, brand, category, price) and of
// 2023 (parent_asin, title, store, categories, main_category, price). Nothing else of them is used: also_buy,
// also_view, similar_item, bought_together and rank were crawled after the reviews and give the future away.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "data/input/input_parts.h"
#include "data/input/line_counts.h"
#include "data/input/titles.h"

namespace allreco::data {

struct TitleRules {
  std::int64_t max_length = 200;   // characters
  bool describe_untitled = false;  // an item without a usable title is called `brand, category (asin)`
};

struct MetadataRow {
  std::string item;           // not empty
  CleanTitle title;           // unusable ones too, with their problem
  bool is_described = false;  // the title is a description
  std::string brand;          // cleaned; 2023 calls it store; empty where the row has none
  std::string category;       // cleaned; never empty: see docs/prepare.md
  std::string price;          // as "12.99"; empty where the row has none
  std::uint32_t input = 0;    // InputPart::input
};

/// The items of one part of a file, in its order; one thread.
class MetadataReader {
 public:
  using Wanted = std::function<bool(const std::string& item)>;
  /// UserError as ReviewReader. Rows of items that are not `wanted` are counted and passed over, as cleaning is dear.
  MetadataReader(const InputPart& part, const TitleRules& rules, double max_bad_share = 1, Wanted wanted = {});
  ~MetadataReader();
  MetadataReader(MetadataReader&&) noexcept;

  /// False after the part's last. UserError when the file is damaged.
  bool next(MetadataRow& row);
  const LineCounts& counts() const;
  std::uint64_t bytes_read() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// "12.99" for "$12.99", "from 12.99" or "$12.99 - $20.00" (the lower one); "" for what is no price: 2018's field often
/// holds scraps of style sheets.
std::string price_of(std::string_view text);

/// What describes an item beside its title.
struct ItemDetails {
  std::string brand, category, price;  // as in MetadataRow
};

}  // namespace allreco::data
