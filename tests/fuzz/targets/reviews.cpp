// Amazon's review and metadata files, plain or gzip, up to the shoppers that are made of them.
#include "core/check.h"
#include "data/prepare/shoppers/shopper_intake.h"
#include "fuzz/target.h"

namespace allreco::fuzz {

void reviews(Input input) {
  const auto pieces = split(input, 2);
  const Directory directory;
  data::PrepareConfig config;
  config.reviews = directory.write("reviews.json", pieces[0]).string();
  config.metadata = directory.write("metadata.json", pieces[1]).string();
  config.max_bad_line_share = 1;
  config.max_title_length = 50;
  config.untitled_items = "describe";
  config.min_rating = 2;
  data::LoneRank alone;
  data::PrepareProgress progress(false);
  const data::ShopperIntake intake = data::take_in_shoppers({alone, 1, {0, directory.path()}, progress}, config);
  intake.kept.store.for_each([&](data::Shopper& shopper) {
    for (const data::Purchase& purchase : shopper.purchases)
      core::require(purchase.item < intake.kept.catalogue.size(), "what is bought is in the catalogue");
  });
}

}  // namespace allreco::fuzz
