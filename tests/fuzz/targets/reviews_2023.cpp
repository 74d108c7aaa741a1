// Reviews and metadata of Amazon 2023, whole and in parts.
#include "core/check.h"
#include "data/input/metadata.h"
#include "data/input/reviews.h"
#include "fuzz/target.h"

namespace allreco::fuzz {

void reviews_2023(Input input) {
  const auto pieces = split(input, 2);
  const Directory directory;
  const auto reviews = directory.write("reviews.jsonl", pieces[0]),
             metadata = directory.write("meta_X.jsonl", pieces[1]);
  std::int64_t num_rows = 0, num_rows_of_parts = 0;
  for (const auto& [part_bytes, count] :
       {std::pair(data::kWholeFile, &num_rows), std::pair(std::uint64_t{1000}, &num_rows_of_parts)}) {
    for (const data::InputPart& part : data::input_parts({reviews}, part_bytes)) {
      data::ReviewReader reader(part);
      for (data::ReviewRow row; reader.next(row); ++*count)
        core::require(!row.user.empty() && !row.item.empty(), "a review has a user and an item");
    }
  }
  core::require(num_rows == num_rows_of_parts, "parts hold the rows of the file");
  data::MetadataReader reader({.path = metadata}, {.max_length = 50, .describe_untitled = true});
  for (data::MetadataRow row; reader.next(row);) {
    core::require(is_utf8(row.title.text) && is_utf8(row.brand) && is_utf8(row.category), "texts of items are UTF-8");
    core::require(row.title.problem == data::TitleProblem::none || row.title.text.empty(),
                  "an unusable title is empty");
    core::require(!row.category.empty() && data::price_of(row.price) == row.price,
                  "an item has a category and a price");
  }
}

}  // namespace allreco::fuzz
