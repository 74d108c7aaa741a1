// recommend: histories in, items out; as arguments, as lines, at a terminal, or over HTTP.
#include <unistd.h>

#include <optional>

#include "cli/bindings.h"
#include "cli/commands.h"
#include "core/check.h"
#include "core/input_file.h"
#include "core/log.h"
#include "core/memory.h"
#include "eval/base_model.h"
#include "model/lora/adapter.h"
#include "recommend/line_service.h"
#include "recommend/serve.h"

namespace allreco::cli {

namespace {

struct RecommendOptions {
  eval::BaseModelOptions base;
  recommend::RankingOptions ranking;
  RuntimeOptions runtime;
  std::string adapter_name_or_path, dataset;
  std::string history, input = "-", serve;
  std::int64_t k = 10, batch_size = 32, max_waiting = 256;
  bool exclude_history = true, json = false;

  core::OptionGroups groups() {
    using core::between;
    return {
        {"Input",
         {{"adapter_name_or_path", adapter_name_or_path, "A PEFT adapter directory; empty: the base alone."},
          {"dataset", dataset, "A dataset directory of reviews or sequences: its items, its prompts."},
          {"history", history,
           "One history, oldest first: ids, asins or titles separated by |, or by commas where no | is in it. It is "
           "answered, and that is all."},
          {"input", input,
           "A file of one request a line: {\"history\": [...], \"k\": 5, \"exclude_history\": true, \"id\": ...}, or "
           "as --history. -: standard input; at a terminal it asks."},
          {"serve", serve, "HOST:PORT to answer over HTTP instead, such as 127.0.0.1:8080; port 0: any free one."}}},
        {"Recommendations",
         {{"k", k, between(1, static_cast<double>(recommend::kMostRecommendations)),
           "Items to recommend, where a request does not say."},
          {"exclude_history", exclude_history, "Leave out items of the history, where a request does not say."},
          {"json", json, "Answer with lines of JSON instead of tables."},
          {"batch_size", batch_size, between(1, 4096), "Requests that are computed together, where so many wait."},
          {"max_waiting", max_waiting, between(1, 1e5), "Of --serve: requests that may wait; more get a 503."}}},
        {"Ranking", ranking.options()}};
  }
};

void check(const RecommendOptions& options) {
  require_option("model_name_or_path", options.base.model_name_or_path);
  require_option("dataset", options.dataset);
  const int num_ways = !options.history.empty() + (options.input != "-") + !options.serve.empty();
  if (num_ways > 1) core::user_error("history, input and serve exclude each other: give one of them");
}

/// Of --history or a file, whose end is known, a request that cannot be answered is the user's mistake.
int exit_code_of(const recommend::LineCounts& counts) { return counts.num_refused == 0 ? kExitDone : kExitUserError; }

int answer(recommend::Recommender& recommender, const RecommendOptions& options, const core::InputFile* file) {
  const recommend::LineInput standard_input{STDIN_FILENO, "standard input"};
  const recommend::LineOptions lines{
      {{}, options.k, options.exclude_history, nullptr}, options.json, static_cast<size_t>(options.batch_size)};
  if (!options.serve.empty()) {
    recommend::serve(recommender, {recommend::parse_address(options.serve), lines.defaults, lines.batch_size,
                                   static_cast<size_t>(options.max_waiting), memory_advice({"recommend"})});
  } else if (!options.history.empty()) {
    return exit_code_of(recommend::answer_text(recommender, options.history, lines));
  } else if (file != nullptr) {
    return exit_code_of(recommend::answer_lines(recommender, {file->descriptor(), file->path().string()}, lines));
  } else if (::isatty(STDIN_FILENO) != 0 && ::isatty(1) != 0) {
    recommend::converse(recommender, standard_input, lines);
  } else {
    recommend::answer_lines(recommender, standard_input, lines);
  }
  return kExitDone;
}

}  // namespace

int recommend_command(dist::Session& session, const Arguments& arguments) {
  RecommendOptions options;
  OptionList list("allreco recommend",
                  "What comes next after a history, from the whole catalogue of a dataset: the k best items with their "
                  "probabilities. One process.",
                  {options.base.options(), options.groups(), options.runtime.options()});
  if (!parse_or_help(list, arguments, session)) return kExitDone;
  require_one_rank(session, "recommend");
  check(options);
  if (!options.serve.empty()) recommend::parse_address(options.serve);  // before the model is loaded
  apply(options.runtime, session);
  std::optional<core::InputFile> file;
  if (options.input != "-") file.emplace(options.input);
  const model::BaseModel base = eval::load_base_model(session, options.base);
  const auto lora = model::load_adapter(options.adapter_name_or_path, base);
  core::keep_freed_memory();  // what comes and goes from here on comes again in every batch
  model::Decoder decoder(base.config, base.weights, lora.get());
  recommend::Recommender recommender(decoder, data::read_dataset_info(options.dataset), options.ranking);
  return answer(recommender, options, file ? &*file : nullptr);
}

}  // namespace allreco::cli
