// A template file, filled in with a title that holds parts and braces of its own.
#include <array>

#include "data/prompts/template.h"
#include "data/prompts/template_rendering.h"
#include "fuzz/target.h"

namespace allreco::fuzz {

void prompt_template(Input input) {
  const Directory directory;
  const data::PromptTemplate filled = data::load_template(directory.write("template.json", input));
  data::to_json(filled).dump();
  const std::array<std::string_view, 2> titles{"A {title} of {", "}{label}"};
  const data::PromptRow row = filled.takes_history() ? data::render_history(filled, titles, titles)
                                                     : data::PromptRow{"{input}", "{instruction}", "{output}"};
  data::render_prompt(filled, row);
  for (const bool has_input : {true, false}) {
    const data::PromptRow part{row.instruction, has_input ? row.input : "", ""};
    data::render_prompt_parts(filled, part);
    data::prompt_head(filled, part, has_input);
    data::prompt_tail(filled, has_input);
  }
  data::render_output(filled, titles[0]);
}

}  // namespace allreco::fuzz
