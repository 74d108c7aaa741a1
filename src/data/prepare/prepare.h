// prepare: raw input to a dataset directory. Four sources, one writer.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "core/options.h"
#include "data/prepare/ranks.h"

namespace allreco::data {

/// What `allreco prepare` is asked to do. Exactly one of reviews, sequences, prompts, tokens is set.
struct PrepareConfig {
  std::string reviews;
  std::string metadata;
  std::string sequences;
  std::string items;
  /// Without gold the right option is the one that equals output.
  std::string prompts;
  std::string option_pattern;
  /// labels are -100 in front and equal to input_ids from there on; labels[0] is no target; a row without -100 is
  /// supervised from its second token on. Rows are kept as they are, in the file's order; one longer than max_length is
  /// dropped.
  std::string tokens;
  std::string output_dir;
  std::string tokenizer;
  /// May exceed the tokenizer's (a padded embedding).
  std::int64_t vocab_size = 0;
  double max_bad_line_share = 0.01;
  std::string memory_limit = "0";
  std::string tmp_dir;

  std::int64_t min_history = 0;
  std::int64_t max_history = 10;
  std::string examples_per_user = "all";
  std::int64_t min_user_interactions = 0;
  std::int64_t min_item_interactions = 0;
  double min_rating = 0;
  bool verified_only = false;
  std::int64_t max_title_length = 200;
  std::string untitled_items = "drop";
  std::string split = "auto";
  std::string split_time;
  double validation_share = 0.1;
  double test_share = 0.1;
  std::int64_t num_candidates = 4;
  std::string negatives = "auto";
  std::string negative_items = "existing";

  std::string prompt_template;
  std::int64_t max_length = 0;
  bool add_bos = true;
  bool add_eos = true;
  std::uint64_t seed = 42;
  std::int64_t examples_per_shard = 1'000'000;

  core::OptionGroups options() {
    using core::between, core::from_below, core::special_or;
    return {
        {"Input and output",
         {{"reviews", reviews,
           "Amazon reviews of 2018 or 2023, JSON lines or ratings-only csv, plain, .gz or .zst; several: "
           "file,file,...; "
           "with --metadata."},
          {"metadata", metadata, "Amazon metadata of 2018 or 2023, JSON lines; several: file,file,..."},
          {"sequences", sequences,
           "Instead: a line `user item item ...` for each user, in the order of purchase; with --items."},
          {"items", items, "A line `item text` for each item of --sequences."},
          {"prompts", prompts,
           "Instead: ready prompts, JSON lines {instruction, input, output} or {prompt, output}, optionally options, "
           "gold, split, user, timestamp."},
          {"option_pattern", option_pattern,
           "How rows of --prompts without options show them: a regular expression, each group of whose first match is "
           "an "
           "option (with one group: each match), or `labels`: what stands behind the template's labels, such as A), "
           "B). "
           "Empty: they have none."},
          {"tokens", tokens,
           "Instead: token ids, JSON lines {input_ids, labels}, -100 = not supervised; optionally split."},
          {"output_dir", output_dir, "The dataset directory to write; must be new or empty."},
          {"tokenizer", tokenizer,
           "A tokenizer.json or SentencePiece tokenizer.model, or a model directory that holds one."},
          {"vocab_size", vocab_size, between(0, 0x1p31),
           "Ids lie below it; 0: the tokenizer's. Needed with --tokens without a tokenizer."},
          {"max_bad_line_share", max_bad_line_share, between(0, 1),
           "Malformed lines are counted and skipped; a larger share of them ends the run."},
          {"memory_limit", memory_limit,
           "Of each rank, beyond what it holds when it begins: a size such as 256MiB, at least 32MiB; 0: none. What "
           "does not fit is put in order on disk. The items must fit, and so does what one shopper bought."},
          {"tmp_dir", tmp_dir, "Where that disk is; empty: beside output_dir."}}},
        {"Shoppers and items",
         {{"min_history", min_history, special_or(0, between(1, 1e6)),
           "Items that a shopper must have before the target; 0: 4 in reviews, 1 in sequences, which are chosen "
           "already."},
          {"max_history", max_history, between(1, 1e6), "Newest items of the history that a prompt shows."},
          {"examples_per_user",
           examples_per_user,
           {"all", "last"},
           "all: each purchase with enough history; last: of those the newest of each split."},
          {"min_user_interactions", min_user_interactions, between(0, 1e9),
           "k-core: shoppers with fewer kept reviews are dropped, and so on until none is left; 0: none is."},
          {"min_item_interactions", min_item_interactions, between(0, 1e9), "The same for items."},
          {"min_rating", min_rating, between(0, 5), "Keep only reviews with at least this rating."},
          {"verified_only", verified_only, "Keep only verified purchases."},
          {"max_title_length", max_title_length, between(8, 1e6), "Characters; longer titles are cut at a word."},
          {"untitled_items",
           untitled_items,
           {"drop", "describe"},
           "Items of --reviews whose published title is missing, a script or markup only. drop: with their reviews; "
           "describe: called `brand, category (asin)`."}}},
        {"Splits and candidates",
         {{"split",
           split,
           {"auto", "time", "user", "random", "rows", "leave_last_out", "leave_last_two_out"},
           "time: by the target's time, globally; user: whole users, by a hash; random: by example, labelled as such; "
           "rows: by the rows' split "
           "fields (rows without one train); leave_last_out: each user's last item is for test, the others train; "
           "leave_last_two_out: the one before is for validation; auto: time for reviews, leave_last_out for "
           "sequences, rows where a row has the field, else random for prompts and all in train for tokens."},
          {"split_time", split_time,
           "Instead of shares for --split time: where test begins, or `T,U` where validation and test begin; seconds "
           "since 1970 or a day such as 2015-06-30."},
          {"validation_share", validation_share, from_below(0, 1),
           "Share of examples for validation, by time or at random."},
          {"test_share", test_share, from_below(0, 1), "Share of examples for test, by time or at random."},
          {"num_candidates", num_candidates, special_or(0, between(2, 254)),
           "The target and sampled negatives; 0: no candidates."},
          {"negatives",
           negatives,
           {"auto", "uniform", "popularity", "matched", "same_category", "given"},
           "How negatives are drawn, among items the shopper never bought. popularity: of the train period; matched: "
           "in "
           "proportion to it among items as popular and as long as the target; same_category: uniformly among those of "
           "the target's category, and where these are too few, among all; given: the options of --prompts as they "
           "are (with matched they are drawn anew, among the outputs of all rows). auto: given for --prompts, else "
           "uniform."},
          {"negative_items",
           negative_items,
           {"existing", "train"},
           "existing: those of the train period and those first bought by the time of the target; train: of the train "
           "period alone, so that an item that it does not have can only be a target."}}},
        {"Examples",
         {{"template", prompt_template,
           "The prompt template: a shipped name, a JSON file (configs/templates), or auto: the chat template that fits "
           "the tokenizer. Empty: amazon-next-item, alpaca for prompts."},
          {"max_length", max_length, special_or(0, between(4, 1e8)),
           "Tokens; longer prompts lose their oldest history, never options or answer. 0: 512, and no limit for "
           "--tokens."},
          {"add_bos", add_bos, "Begin each example with the tokenizer's BOS, if it begins texts with one."},
          {"add_eos", add_eos, "End each answer with the tokenizer's EOS, or the template's end of turn."},
          {"seed", seed, "Seed of negatives, option order and random splits."},
          {"examples_per_shard", examples_per_shard, between(1, 1e9), "Examples in one HDF5 file."}}}};
  }
};

/// What no single option can say of itself as well: which go together. UserError naming the options.
void validate(const PrepareConfig& config);

/// Collective. Writes the directory and returns one human-readable summary (to be logged by the caller), of the leader.
/// The result is a pure function of the configuration and of the input's rows, whatever the number of ranks and threads
/// and the memory; for reviews, not of the rows' order.
/// UserError for bad input (too many malformed lines, nothing left after the filters, ...). On any error nothing is
/// left in output_dir (a directory that it made is removed).
std::string prepare(const PrepareConfig& config, const std::string& command_line, PrepareRanks& ranks,
                    std::int64_t num_threads);
/// The same on one rank and thread.
std::string prepare(const PrepareConfig& config, const std::string& command_line);

}  // namespace allreco::data
