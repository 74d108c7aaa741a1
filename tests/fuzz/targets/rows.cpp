// Ready rows, plain or gzip: prompts and token ids.
#include "data/input/json_lines.h"
#include "data/input/prompt_rows.h"
#include "data/input/row_splitter.h"
#include "data/input/token_rows.h"
#include "fuzz/target.h"

namespace allreco::fuzz {

void rows(Input input) {
  const Directory directory;
  data::JsonLines lines(directory.write(input.starts_with('\x1f') ? "rows.json.gz" : "rows.json", input), 1.0);
  for (core::Json row; lines.next(row);) {
    std::optional<data::Split> split;
    data::parse_split(row, split);
    data::Example example;
    data::parse_token_row(row, 512, example);
    if (data::parse_prompt_row(row).fate != data::RowFate::usable) lines.reject("not usable");
  }
  lines.report().dump(0, ' ', false, core::Json::error_handler_t::replace);  // as dataset.json is written
}

}  // namespace allreco::fuzz
