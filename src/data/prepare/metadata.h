// Amazon Review Data 2018: the product file, one JSON object a line. Only asin and title are used, and brand and
// category where the title is no use: also_buy, also_view, similar_item and rank were crawled after the reviews and
// give the future away.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "core/json.h"
#include "data/prepare/titles.h"

namespace allreco::data {

struct Metadata {
  std::unordered_map<std::string, CleanTitle>
      titles;                      // by asin, of the wanted asins only; unusable titles too, with their problem
  std::int64_t num_described = 0;  // items without a usable title that got a description instead
  std::int64_t num_repeated = 0;   // rows of an asin that had a row before: the first is kept
  core::Json lines;                // JsonLines::report
};

struct TitleRules {
  std::int64_t max_length = 200;   // characters
  bool describe_untitled = false;  // an item without a usable title is called `brand, category (asin)`
};

/// UserError as JsonLines.
Metadata read_metadata(const std::filesystem::path& path, const std::unordered_set<std::string>& wanted_asins,
                       const TitleRules& rules, double max_bad_share);

}  // namespace allreco::data
