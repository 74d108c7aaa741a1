// The post-processor of a tokenizer.json: the control tokens around a text (TemplateProcessing, ByteLevel, Sequence).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/tokenizer/bpe.h"
#include "data/tokenizer/json_fields.h"

namespace allreco::data {

struct Surroundings {
  std::vector<TokenId> before, after;
};

/// Nothing where `fields` is null. `vocab_size`: ids must lie below it. UserError for a type that is not supported.
Surroundings read_post_processor(const Fields& fields, std::int64_t vocab_size, const std::string& where,
                                 int depth = 0);

}  // namespace allreco::data
