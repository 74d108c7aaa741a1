// From review and metadata files to shoppers, on all ranks: rows are read and exchanged (review_intake), sorted
// (row_sorter), of each shopper's reviews of an item one is chosen (reviewed_items), and joined with the items' titles
// (item_table, kept_shoppers).
#pragma once
#include "core/json.h"
#include "data/prepare/prepare.h"
#include "data/prepare/prepare_context.h"
#include "data/prepare/shoppers/kept_shoppers.h"

namespace allreco::data {

struct ShopperIntake {
  KeptShoppers kept;
  core::Json review_lines, metadata_lines;  // report_files
};

/// Collective. Of `config` reviews, metadata, filters, titles and k-core. The shoppers are a pure function of these and
/// of the set of rows: their order in the files does not matter (but for repeated metadata, where the first row
/// counts). Of a shopper's reviews of one item that pass the filters the earliest is kept; at the same time the
/// best-rated, then the verified one.
ShopperIntake take_in_shoppers(const PrepareContext& context, const PrepareConfig& config);

}  // namespace allreco::data
