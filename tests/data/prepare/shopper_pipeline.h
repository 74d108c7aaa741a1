// What prepare makes of review and metadata files up to the shoppers, on one rank.
#pragma once
#include <utility>
#include <vector>

#include "data/prepare/shoppers/shopper_intake.h"
#include "support/temporary_directory.h"

namespace allreco::data {

struct TakenIn {
  std::vector<Shopper> shoppers;
  std::vector<CatalogueEntry> catalogue;
  ReviewCounts counts;
  core::Json review_lines, metadata_lines, catalogue_counts;
};

inline TakenIn taken_in(const PrepareConfig& config) {
  const support::TemporaryDirectory spills;
  LoneRank alone;
  PrepareProgress progress(false);
  ShopperIntake intake = take_in_shoppers({alone, 1, {0, spills.path()}, progress}, config);
  TakenIn result;
  intake.kept.store.for_each([&](Shopper& shopper) { result.shoppers.push_back(std::move(shopper)); });
  result.catalogue = std::move(intake.kept.catalogue);
  result.counts = intake.kept.counts;
  result.catalogue_counts = std::move(intake.kept.catalogue_counts);
  result.review_lines = std::move(intake.review_lines);
  result.metadata_lines = std::move(intake.metadata_lines);
  return result;
}

}  // namespace allreco::data
