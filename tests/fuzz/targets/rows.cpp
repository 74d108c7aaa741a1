// Ready rows, plain or gzip: prompts and token ids.
#include "data/input/prompt_rows.h"
#include "data/input/token_rows.h"
#include "data/prepare/rows/row_reading.h"
#include "data/prepare/rows/row_splits.h"
#include "fuzz/target.h"

namespace allreco::fuzz {

void rows(Input input) {
  const Directory directory;
  data::LoneRank alone;
  data::PrepareProgress progress(false);
  const data::PrepareContext context{alone, 1, {0, directory.path()}, progress};
  data::RowReading reading(context, directory.write(input.starts_with('\x1f') ? "rows.json.gz" : "rows.json", input),
                           1);
  const auto parse = [](const core::Json& row, data::RowPlace, int& num_usable) -> std::string {
    std::optional<data::Split> split;
    data::parse_split(row, split);
    data::Example example;
    data::parse_token_row(row, 512, example);
    const bool is_usable = data::parse_prompt_row(row).fate == data::RowFate::usable;
    num_usable += is_usable;
    return is_usable ? "" : "not usable";
  };
  reading.run<int>(parse, [](int&) {});
  reading.report().dump(0, ' ', false, core::Json::error_handler_t::replace);  // as dataset.json is written
}

}  // namespace allreco::fuzz
