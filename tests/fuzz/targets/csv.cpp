// Reviews as ratings-only csv of 2018 and 2023: whole and in parts of 7 bytes the same rows and counts.
#include "core/check.h"
#include "data/input/reviews.h"
#include "fuzz/target.h"

namespace allreco::fuzz {

void csv(Input input) {
  const Directory directory;
  const auto path = directory.write("reviews.csv", input);
  const auto read = [&](std::uint64_t part_bytes) {
    std::pair<std::string, data::LineCounts> result;
    for (const data::InputPart& part : data::input_parts({path}, part_bytes)) {
      data::ReviewReader reader(part);
      for (data::ReviewRow row; reader.next(row);) {
        core::require(!row.user.empty() && !row.item.empty() && is_utf8(row.user) && is_utf8(row.item),
                      "names are texts");
        core::require(row.rating >= 0 && row.rating <= 5, "a rating lies in its range");
        result.first += row.user + "\n" + row.item + "\n" + std::to_string(row.time_ms) + "\n";
      }
      result.second.append(reader.counts());
    }
    return result;
  };
  const auto [rows, counts] = read(data::kWholeFile);
  if (input.size() > 1000) return;  // a part costs a file that is opened
  const auto [rows_of_parts, counts_of_parts] = read(7);
  core::require(rows == rows_of_parts && counts.total_lines == counts_of_parts.total_lines &&
                    counts.malformed == counts_of_parts.malformed,
                "parts hold the lines of the file");
}

}  // namespace allreco::fuzz
