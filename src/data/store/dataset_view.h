// A prepared dataset for people: whether its files are what they should be, and what an example looks like.
#pragma once
#include <cstdint>

#include "core/json.h"
#include "data/store/dataset.h"

namespace allreco::data {

/// Opens all files that dataset.json lists: UserError for one that is missing, cut short or of another dataset. With
/// `verify` also for one whose bytes have changed, or that holds an example with token ids, items or a gold that cannot
/// be. Returns how many {files, examples, tokens} were looked at.
core::Json check_dataset(const DatasetInfo& info, bool verify);

/// The first `count` examples of each split: {split, index, user, timestamp, prompt, answer, options, gold, input_ids,
/// labels}, labels as Hugging Face has them (-100: not supervised). Texts where the dataset has a tokenizer.
core::Json show_examples(const DatasetInfo& info, std::int64_t count);

}  // namespace allreco::data
