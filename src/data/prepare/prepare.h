// prepare: raw input to a dataset directory. Three sources, one writer.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

namespace allreco::data {

/// What `allreco prepare` is asked to do. Exactly one of reviews, prompts, tokens is set.
struct PrepareConfig {
  // sources
  std::string reviews;   // Amazon 2018 reviews, .json or .json.gz
  std::string metadata;  // Amazon 2018 metadata, with reviews
  // JSON lines {instruction, input, output} or {prompt, output}; optional options (texts), gold (index or text), split.
  // Without gold the right option is the one that equals output.
  std::string prompts;
  // JSON lines {input_ids, labels} as Hugging Face has them: labels are -100 in front and equal to input_ids from there
  // on; labels[0] is no target; a row without -100 is supervised from its second token on. Optional split. Rows are
  // kept as they are, in the file's order.
  std::string tokens;
  std::string output_dir;  // a new or empty directory
  std::string tokenizer;   // tokenizer.json or .model, or a directory with one; tokens need none
  // Ids must lie below it. 0: the tokenizer's; needed with tokens without tokenizer. May exceed the tokenizer's (a
  // padded embedding).
  std::int64_t vocab_size = 0;
  double max_bad_line_share = 0.01;  // more malformed lines than this share end the run
  // Amazon filters
  std::int64_t min_history = 4;         // kept purchases before a target; shoppers with fewer are left out
  std::int64_t max_history = 10;        // newest items shown
  double min_rating = 0;                // keep reviews with at least this rating
  bool verified_only = false;           // keep only reviews of verified purchases
  std::int64_t max_title_length = 200;  // characters; longer titles are cut at a word
  // examples
  // auto: reviews by time; prompts by their rows' split fields if any row has one, else random (labelled); tokens by
  // their rows' split fields. time: by the target's time, globally (reviews only). random: by example, labelled as
  // such. rows: by the rows' split fields (prompts, tokens); rows without one train.
  std::string split = "auto";
  double validation_share = 0.1;    // of the examples; used by time and random
  double test_share = 0.1;          // of the examples; used by time and random
  std::int64_t num_candidates = 4;  // reviews: target + sampled negatives; 0: no candidates
  std::string negatives =
      "uniform";  // uniform | popularity: over items of the train period, never one that the shopper has bought
  // --template: a shipped name, a file, or auto: the chat template that fits the tokenizer. Empty: amazon-next-item for
  // reviews, alpaca for prompts.
  std::string prompt_template;
  std::int64_t max_length =
      0;  // tokens; 0: 512 for reviews and prompts, no limit for tokens (whose longer rows are dropped)
  bool add_bos = true;
  bool add_eos = true;
  std::uint64_t seed = 42;  // of random splits and candidates
  std::int64_t examples_per_shard = 1'000'000;
};

/// UserError naming key, value and allowed range.
void validate(const PrepareConfig& config);

/// Runs on one rank. Writes the directory and returns one human-readable summary (to be logged by the caller). The
/// result is a pure function of the configuration and of the input's rows; for reviews, not of the rows' order.
/// UserError for bad input (too many malformed lines, nothing left after the filters, ...). On any error nothing is
/// left in output_dir (a directory that it made is removed).
std::string prepare(const PrepareConfig& config, const std::string& command_line);

}  // namespace allreco::data
