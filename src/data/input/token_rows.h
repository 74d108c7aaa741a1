// Rows of token ids with labels in Hugging Face's convention.
#pragma once
#include <cstdint>
#include <string>

#include "core/json.h"
#include "data/store/dataset.h"

namespace allreco::data {

/// Sets tokens and prompt_length from {input_ids, labels}: labels are -100 in front and equal to input_ids from there
/// on; a row without -100 has prompt_length 0. Returns "" or what is wrong with the row: a missing list, different
/// lengths, an id outside [0, vocab_size), a label that is neither -100 nor its id, a -100 after a label, no target
/// (labels[0] is none).
std::string parse_token_row(const core::Json& row, std::int64_t vocab_size, Example& example);

}  // namespace allreco::data
