// prepare: raw input to a dataset directory. Three sources, one writer.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace allreco::data {

/// What `allreco prepare` is asked to do. One of reviews, prompts, tokens is set.
struct PrepareConfig {
  // sources
  std::string reviews;              // Amazon 2018 reviews, .json or .json.gz
  std::string metadata;             // Amazon 2018 metadata, with reviews
  std::string prompts;              // JSON lines {instruction, input, output} or {prompt, output}; optional options, gold, split
  std::string tokens;               // JSON lines {input_ids, labels}; optional split
  std::string output_dir;           // a new or empty directory
  std::string tokenizer;            // tokenizer.model, or a directory with one
  std::int64_t vocab_size = 0;      // with tokens: ids must lie below it
  double max_bad_line_share = 0.01; // more malformed lines than this share end the run
  // Amazon filters
  std::int64_t min_history = 4;     // items before the target; shoppers with fewer are left out
  std::int64_t max_history = 10;    // newest items shown
  double min_rating = 0;            // keep reviews with at least this rating
  bool verified_only = false;
  std::int64_t max_title_length = 200;  // characters; longer titles are cut at a word
  // examples
  std::string split = "time";       // time: by the target's time, globally; random: by example, labelled as such
  double validation_share = 0.1;
  double test_share = 0.1;
  std::int64_t num_candidates = 4;  // target + sampled negatives; 0: no candidates
  std::string negatives = "uniform";  // uniform | popularity: over items of the train period, never one that the shopper has bought
  std::string prompt_template = "amazon-next-item";  // --template: a shipped name, or a file
  std::int64_t max_length = 512;    // tokens; the oldest history goes first
  bool add_bos = true;
  bool add_eos = true;
  std::uint64_t seed = 42;
  std::int64_t examples_per_shard = 1'000'000;
};

/// UserError naming key, value and allowed range.
void validate(const PrepareConfig& config);

/// Runs on one rank. Writes the directory and returns one human-readable summary (also logged by the caller). On any error nothing is left in
/// output_dir (a directory that it made is removed).
std::string prepare(const PrepareConfig& config, const std::string& command_line);

}  // namespace allreco::data
