// From review files to each rank's own shoppers: rows are read in parts by all ranks and threads, and each goes to the
// rank in whose range of user ids it lies.
#pragma once
#include <cstdint>
#include <string>

#include "core/json.h"
#include "data/prepare/prepare_context.h"
#include "data/prepare/shoppers/row_sorter.h"

namespace allreco::data {

struct ReviewIntake {
  core::Json lines;              // report_files
  std::uint64_t sent_bytes = 0;  // by this rank to others
};

/// Collective. Fills `sorter` with the rows of this rank's shoppers: those between two splitters, which are taken from
/// a sample of all rows, so that ranges hold about equally many. Ranges rather than a hash, because the order of a
/// dataset is that of user ids: what the ranks make stands one after another. UserError as ReviewReader, when more than
/// `max_bad_share` of a file's lines are malformed, when it holds no review, and with `verified_only` when it does not
/// say which are verified.
ReviewIntake take_in_reviews(const PrepareContext& context, const std::string& files, double max_bad_share,
                             bool verified_only, RowSorter& sorter);

}  // namespace allreco::data
