// Which prompt template a run of prepare uses.
#pragma once
#include "data/prepare/prepare.h"
#include "data/prompts/template.h"
#include "data/tokenizer/tokenizer.h"

namespace allreco::data {

/// --template: empty is the source's default; auto the first of llama3, gemma, mistral-nemo, mistral and chatml all of
/// whose control tokens are control tokens of the tokenizer (UserError when there is none); else load_template's.
PromptTemplate choose_template(const PrepareConfig& config, const Tokenizer& tokenizer);

}  // namespace allreco::data
