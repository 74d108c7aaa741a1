// Amazon's review and metadata files, plain or gzip, up to the shoppers that are made of them.
#include "data/input/reviews.h"

#include <unordered_set>

#include "data/input/metadata.h"
#include "data/prepare/shoppers.h"
#include "fuzz/target.h"

namespace allreco::fuzz {

void reviews(Input input) {
  const auto pieces = split(input, 2);
  const Directory directory;
  const data::ReviewFile file = data::read_reviews(directory.write("reviews.json", pieces[0]), 1.0);
  const std::unordered_set<std::string> asins(file.asins.begin(), file.asins.end());
  const data::Metadata metadata = data::read_metadata(directory.write("metadata.json", pieces[1]), asins,
                                                      {.max_length = 50, .describe_untitled = true}, 1.0);
  data::build_shoppers(file, metadata, {.min_rating = 2, .verified_only = false});
}

}  // namespace allreco::fuzz
