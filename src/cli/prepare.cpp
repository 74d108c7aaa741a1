#include "data/prepare/prepare.h"

#include <fmt/core.h>

#include "cli/bindings.h"
#include "cli/commands.h"

namespace allreco::cli {

namespace {

void bind(OptionList& list, data::PrepareConfig& c) {
  list.add("reviews", c.reviews, "Amazon 2018 reviews, .json or .json.gz; with --metadata.");
  list.add("metadata", c.metadata, "Amazon 2018 metadata, .json or .json.gz.");
  list.add("prompts", c.prompts,
           "Instead: ready prompts, JSON lines {instruction, input, output} or {prompt, output}, optionally options, "
           "gold, split.");
  list.add("tokens", c.tokens,
           "Instead: token ids, JSON lines {input_ids, labels}, -100 = not supervised; optionally split.");
  list.add("output_dir", c.output_dir, "The dataset directory to write; must be new or empty.");
  list.add("tokenizer", c.tokenizer, "A tokenizer.json or SentencePiece tokenizer.model, or a model directory that holds one.");
  list.add("vocab_size", c.vocab_size, "With --tokens: ids lie below it.", at_least(0));
  list.add("max_bad_line_share", c.max_bad_line_share,
           "Malformed lines are counted and skipped; a larger share of them ends the run.", between(0, 1));
  list.add("min_history", c.min_history, "Items that a shopper must have before the target.", at_least(1));
  list.add("max_history", c.max_history, "Newest items of the history that a prompt shows.", at_least(1));
  list.add("min_rating", c.min_rating, "Keep only reviews with at least this rating.", between(0, 5));
  list.add("verified_only", c.verified_only, "Keep only verified purchases.");
  list.add("max_title_length", c.max_title_length, "Characters; longer titles are cut at a word.", at_least(8));
  list.add("split", c.split,
           "time: by the target's time, globally; random: by example, labelled as such; rows: by the rows' split "
           "fields; auto: "
           "time for reviews, rows where a row has the field, else random for prompts and all in train for tokens.",
           one_of({"auto", "time", "random", "rows"}));
  list.add("validation_share", c.validation_share, "Share of examples for validation.", between(0, 1));
  list.add("test_share", c.test_share, "Share of examples for test.", between(0, 1));
  list.add("num_candidates", c.num_candidates, "The target and sampled negatives; 0: no candidates.", at_least(0));
  list.add("negatives", c.negatives, "How negatives are drawn, among items the shopper never bought.",
           one_of({"uniform", "popularity"}));
  list.add("template", c.prompt_template,
           "The prompt template: a shipped name, or a JSON file (configs/templates). Empty: amazon-next-item, alpaca "
           "for prompts.");
  list.add(
      "max_length", c.max_length,
      "Tokens; longer prompts lose their oldest history, never options or answer. 0: 512, and no limit for --tokens.",
      at_least(0));
  list.add("add_bos", c.add_bos, "Begin each example with the tokenizer's BOS, if it has one.");
  list.add("add_eos", c.add_eos, "End each answer with the tokenizer's EOS, or the template's end of turn.");
  list.add("seed", c.seed, "Seed of negatives, option order and random splits.");
  list.add("examples_per_shard", c.examples_per_shard, "Examples in one HDF5 file.", at_least(1));
}

}  // namespace

int prepare_command(dist::Session& session, const Arguments& arguments) {
  data::PrepareConfig config;
  RuntimeOptions runtime;
  OptionList list("allreco prepare",
                  "Turns reviews with metadata, ready prompts or token ids into a dataset directory of HDF5 shards.");
  bind(list, config);
  bind(list, runtime);
  if (!parse_or_help(list, arguments, session)) return kExitDone;
  apply(runtime, session);
  data::validate(config);
  constexpr double any_time_s = 7 * 86400;
  session.set_timeout(any_time_s);  // the others wait for rank 0, which alone prepares
  session.together("prepare", [&] {
    if (session.is_leader()) fmt::print("{}\n", data::prepare(config, list.as_config()));
  });
  return kExitDone;
}

}  // namespace allreco::cli
