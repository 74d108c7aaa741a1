// Files of sequences and of items' texts.
#include "data/input/sequences.h"

#include "core/check.h"
#include "fuzz/target.h"

namespace allreco::fuzz {

void sequences(Input input) {
  const auto pieces = split(input, 2);
  const Directory directory;
  const data::Shoppers shoppers = data::read_sequences(
      directory.write("sequences.txt", pieces[0]), directory.write("items.txt", pieces[1]), /*max_title_length=*/50);
  for (const data::Shopper& shopper : shoppers.shoppers)
    for (const data::Purchase& purchase : shopper.purchases)
      core::require(purchase.item < shoppers.catalogue.size(), "an item of a sequence is in the catalogue");
}

}  // namespace allreco::fuzz
