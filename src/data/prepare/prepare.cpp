#include "data/prepare/prepare.h"

#include <array>
#include <chrono>
#include <optional>
#include <string_view>

#include "core/check.h"
#include "core/interrupt.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/options_json.h"
#include "data/prepare/closing_notices.h"
#include "data/prepare/prepare_sources.h"
#include "data/prompts/example_encoder.h"
#include "data/prompts/template_choice.h"

namespace allreco::data {
using core::Json;

namespace {

void validate_sources(const PrepareConfig& c) {
  const auto num_sources = !c.reviews.empty() + !c.sequences.empty() + !c.prompts.empty() + !c.tokens.empty();
  if (num_sources != 1) {
    core::user_error(
        "prepare needs exactly one of reviews (with metadata), sequences (with items), prompts, tokens; {} are "
        "given",
        num_sources);
  }
  if (c.sequences.empty() != c.items.empty()) {
    core::user_error("sequences and items go together: {} is missing", c.sequences.empty() ? "sequences" : "items");
  }
  if (c.reviews.empty() != c.metadata.empty()) {
    core::user_error("reviews and metadata go together: {} is missing", c.reviews.empty() ? "reviews" : "metadata");
  }
  if (c.output_dir.empty()) core::user_error("prepare needs output_dir: a new or empty directory");
  if (c.tokens.empty() && c.tokenizer.empty()) {
    core::user_error("tokenizer is missing: give a tokenizer.json or tokenizer.model, or a model directory with one");
  }
  if (!c.tokens.empty() && c.tokenizer.empty() && c.vocab_size == 0) {
    core::user_error("tokens need vocab_size (or a tokenizer): the ids must lie below it");
  }
}

void validate_split(const PrepareConfig& c) {
  if (c.split == "time" && c.reviews.empty() && c.prompts.empty())
    core::user_error("split = time: sequences and tokens carry no time; use leave_last_out, random or rows");
  const bool has_users = !c.reviews.empty() || !c.sequences.empty();
  if (c.split == "rows" && has_users)
    core::user_error("split = rows: reviews and sequences carry no split; use time, leave_last_out or random");
  if (c.split.starts_with("leave_last") && !has_users && c.prompts.empty())
    core::user_error("split = {}: tokens do not say whose they are; use random or rows", c.split);
  if (c.split == "user" && !has_users && c.prompts.empty())
    core::user_error("split = user: tokens do not say whose they are; use random or rows");
  if (!c.split_time.empty()) {
    if (c.split != "auto" && c.split != "time")
      core::user_error("split_time = {} goes with split = time, found split = {}", c.split_time, c.split);
    parse_split_time(c.split_time);
  }
  if (c.validation_share + c.test_share >= 1) {
    core::user_error("validation_share + test_share = {}: must be below 1, so that something is left to train on",
                     c.validation_share + c.test_share);
  }
}

void validate_negatives(const PrepareConfig& c) {
  const bool is_of_prompts = !c.prompts.empty();
  if (is_of_prompts && (c.negatives == "uniform" || c.negatives == "popularity" || c.negatives == "same_category"))
    core::user_error("negatives = {}: the options of prompts are given; they can be matched, too", c.negatives);
  if (!is_of_prompts && c.negatives == "given")
    core::user_error("negatives = given: only prompts have options; use uniform, popularity, matched or same_category");
  if (!c.sequences.empty() && c.negatives == "same_category")
    core::user_error("negatives = same_category: the items of sequences have no categories; use uniform or popularity");
}

/// Which sources an option is for; those that are not here are for all.
struct Scope {
  const char* option;
  const char* sources;  // of reviews, sequences, prompts, tokens
};
constexpr std::array<Scope, 22> kScopes{{{"option_pattern", "prompts"},
                                         {"min_history", "reviews sequences"},
                                         {"max_history", "reviews sequences"},
                                         {"examples_per_user", "reviews sequences"},
                                         {"min_user_interactions", "reviews"},
                                         {"min_item_interactions", "reviews"},
                                         {"split_time", "reviews prompts"},
                                         {"memory_limit", "reviews prompts tokens"},
                                         {"tmp_dir", "reviews prompts tokens"},
                                         {"min_rating", "reviews"},
                                         {"verified_only", "reviews"},
                                         {"max_title_length", "reviews sequences prompts"},
                                         {"untitled_items", "reviews"},
                                         {"num_candidates", "reviews sequences"},
                                         {"negatives", "reviews sequences prompts"},
                                         {"negative_items", "reviews sequences"},
                                         {"template", "reviews sequences prompts"},
                                         {"add_bos", "reviews sequences prompts"},
                                         {"add_eos", "reviews sequences prompts"},
                                         {"max_bad_line_share", "reviews prompts tokens"},
                                         {"metadata", "reviews"},
                                         {"items", "sequences"}}};

std::string source_of(const PrepareConfig& c) {
  if (!c.reviews.empty()) return "reviews";
  if (!c.sequences.empty()) return "sequences";
  return c.prompts.empty() ? "tokens" : "prompts";
}

/// An option that the source does not know would do nothing. One at its default value was not asked for.
void validate_scopes(PrepareConfig config) {
  PrepareConfig untouched;
  const std::string source = source_of(config);
  const core::OptionGroups given = config.options(), defaults = untouched.options();
  for (std::size_t g = 0; g < given.size(); ++g) {
    for (std::size_t i = 0; i < given[g].options.size(); ++i) {
      const core::Option& option = given[g].options[i];
      if (option.text() == defaults[g].options[i].text()) continue;
      for (const Scope& scope : kScopes)
        if (option.name() == scope.option && std::string_view(scope.sources).find(source) == std::string_view::npos)
          core::user_error("{} = {} does nothing with {}: it is for {}. Leave it out", option.name(), option.text(),
                           source, scope.sources);
    }
  }
}

/// All that the dataset depends on: not where it lies, nor what it was made with.
Json options_json(const PrepareConfig& config) {
  Json json = core::options_json(config);
  for (const char* option : {"output_dir", "memory_limit", "tmp_dir"}) json.erase(option);
  return json;
}

std::int64_t choose_vocab_size(const PrepareConfig& config, const std::optional<Tokenizer>& tokenizer) {
  if (!tokenizer) return config.vocab_size;
  if (config.vocab_size == 0) return tokenizer->vocab_size();
  if (config.vocab_size < tokenizer->vocab_size()) {
    core::user_error("vocab_size = {}: the tokenizer {} has {} pieces; give at least that, or leave it out",
                     config.vocab_size, tokenizer->path().string(), tokenizer->vocab_size());
  }
  return config.vocab_size;
}

DatasetWriterOptions writer_options(const PrepareConfig& config, const std::optional<Tokenizer>& tokenizer,
                                    std::int64_t vocab_size) {
  DatasetWriterOptions options;
  options.directory = config.output_dir;
  options.vocab_size = vocab_size;
  options.examples_per_shard = config.examples_per_shard;
  if (!tokenizer) return options;
  options.tokenizer = tokenizer->path();
  options.tokenizer_sha256 = tokenizer->sha256();
  if (!config.tokens.empty()) return options;  // nobody knows which ids its rows begin and end with
  options.bos_id = config.add_bos ? tokenizer->bos_id() : -1;
  options.eos_id = config.add_eos ? answer_end_id(*tokenizer, choose_template(config, *tokenizer)) : -1;
  return options;
}

}  // namespace

void validate(const PrepareConfig& c) {
  core::check_options(c);
  validate_sources(c);
  validate_split(c);
  validate_negatives(c);
  validate_scopes(c);
  parse_memory_limit(c.memory_limit);
}

namespace {

MemoryPlan memory_plan(const PrepareConfig& config, const std::filesystem::path& staging) {
  if (!config.tmp_dir.empty() && !std::filesystem::is_directory(config.tmp_dir))
    core::user_error("tmp_dir = {}: no such directory", config.tmp_dir);
  return {parse_memory_limit(config.memory_limit),
          config.tmp_dir.empty() ? staging : std::filesystem::path(config.tmp_dir)};
}

/// Collective.
Prepared prepare_source(const PrepareConfig& config, const std::optional<Tokenizer>& tokenizer, PrepareRanks& ranks,
                        std::int64_t num_threads, const DatasetPlace& place) {
  PrepareProgress progress(ranks.is_leader());
  const auto begin = std::chrono::steady_clock::now();
  const std::int64_t bytes_before = core::resident_bytes();
  core::reset_peak_resident_bytes();
  const PrepareContext context{ranks, num_threads, memory_plan(config, place.staging), progress};
  Prepared prepared = !config.tokens.empty()    ? prepare_tokens(config, place.identity.vocab_size, context, place)
                      : !config.prompts.empty() ? prepare_prompts(config, *tokenizer, context, place)
                                                : prepare_reviews(config, *tokenizer, context, place);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  constexpr double kMiB = 1 << 20;
  const std::int64_t more_bytes = ranks.max(core::peak_resident_bytes() - bytes_before);
  const std::string times = progress.times(ranks);
  if (ranks.is_leader())
    core::log_info("{:.1f} s: {}. At most {:.0f} MiB of memory on a rank, beyond {:.0f} MiB at the start", seconds,
                   times, static_cast<double>(more_bytes) / kMiB, static_cast<double>(bytes_before) / kMiB);
  return prepared;
}

}  // namespace

std::string prepare(const PrepareConfig& config, const std::string& command_line, PrepareRanks& ranks,
                    std::int64_t num_threads) {
  validate(config);
  const core::InterruptGuard interrupts;
  std::optional<Tokenizer> tokenizer;
  if (!config.tokenizer.empty()) tokenizer.emplace(config.tokenizer);
  const std::int64_t vocab_size = choose_vocab_size(config, tokenizer);
  std::optional<DatasetWriter> writer;
  if (ranks.is_leader()) writer.emplace(writer_options(config, tokenizer, vocab_size));
  const std::string staging = ranks.all_gather(writer ? writer->staging().string() : "")[0];

  const ShardIdentity identity{tokenizer ? tokenizer->sha256() : "", vocab_size};
  const Prepared prepared =
      prepare_source(config, tokenizer, ranks, num_threads, {staging, identity, writer ? &*writer : nullptr});
  if (writer) {
    Json description = {{"command", command_line}, {"options", options_json(config)}};
    description.update(prepared.description);
    writer->finish({}, description);
    for (const std::string& notice : closing_notices(description)) core::log_warning("{}", notice);
  }
  ranks.barrier();
  return prepared.summary;
}

std::string prepare(const PrepareConfig& config, const std::string& command_line) {
  LoneRank alone;
  return prepare(config, command_line, alone, 1);
}

std::int64_t min_history_of(const PrepareConfig& config) {
  if (config.min_history > 0) return config.min_history;
  return config.sequences.empty() ? 4 : 1;
}

std::string negatives_of(const PrepareConfig& config) {
  if (config.negatives != "auto") return config.negatives;
  return config.prompts.empty() ? "uniform" : "given";
}

std::int64_t text_max_length(const PrepareConfig& config) {
  return config.max_length == 0 ? kDefaultMaxLength : config.max_length;
}

std::string list_counts(const Json& counts) {
  std::string text;
  for (const auto& [key, value] : counts.items()) {
    std::string entry;
    if (value.is_object()) {
      entry = list_counts(value);
      if (entry == "nothing") continue;
    } else if (value != 0) {
      entry = fmt::format("{} {}", key, value.get<std::int64_t>());
    }
    if (!entry.empty()) text += (text.empty() ? "" : ", ") + entry;
  }
  return text.empty() ? "nothing" : text;
}

std::vector<Split> splits_by_share(const PrepareConfig& config) {
  std::vector<Split> splits = {Split::train};
  if (config.validation_share > 0) splits.push_back(Split::validation);
  if (config.test_share > 0) splits.push_back(Split::test);
  return splits;
}

void require_examples(const SplitStatistics& statistics, const std::vector<Split>& needed, const Json& dropped) {
  const std::string reasons = list_counts(dropped);
  if (statistics.num_examples() == 0) {
    core::user_error(
        "no example is left. Dropped: {}. Loosen the filter that removed most{}, or check that the files belong "
        "together",
        reasons, reasons.find("title_") == std::string::npos ? "" : " (of titles: --untitled_items describe)");
  }
  for (const Split split : needed) {
    if (statistics.num_examples(split) > 0) continue;
    core::user_error("the {} split has no example left ({}). Dropped: {}. Change the shares or loosen the filters",
                     name_of(split), statistics.summary(), reasons);
  }
}

}  // namespace allreco::data
