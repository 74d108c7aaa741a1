#include "eval/option_labels.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "data/prompts/example_encoder.h"
#include "data/prompts/template_rendering.h"

namespace allreco::eval {

namespace {

constexpr std::size_t kNumLetters = 26;

using Labels = std::vector<std::vector<data::TokenId>>;

/// A label, and another one that begins with it, by place: they do not exclude each other. None: all do.
std::optional<std::pair<std::size_t, std::size_t>> find_overlap(const Labels& labels) {
  for (std::size_t i = 0; i < labels.size(); ++i) {
    for (std::size_t j = 0; j < labels.size(); ++j) {
      const auto at = std::mismatch(labels[i].begin(), labels[i].end(), labels[j].begin(), labels[j].end()).first;
      if (i != j && at == labels[i].end()) return std::pair(i, j);
    }
  }
  return std::nullopt;
}

}  // namespace

core::Part<Labels> label_tokens(const data::DatasetInfo& info, std::size_t count) {
  if (info.tokenizer_sha256.empty() || !info.json.contains("template")) return {};
  const data::PromptTemplate prompt_template =
      data::template_of(info.json["template"], (info.directory / "dataset.json").string());
  if (!prompt_template.shows_options() || prompt_template.option_item.find("{label}") == std::string::npos) return {};
  if (prompt_template.option_labels == "letters" && count > kNumLetters)
    return {{}, fmt::format("{} options, but {} letters", count, kNumLetters)};
  const data::Tokenizer tokenizer(info.directory);
  const data::ExampleEncoder encoder(tokenizer, prompt_template, {.add_bos = false, .add_eos = false});
  Labels labels;
  for (std::size_t j = 0; j < count; ++j) labels.push_back(encoder.encode_answer(label_of(prompt_template, j)));
  if (const auto overlap = find_overlap(labels))
    return {{},
            fmt::format("as tokens the label \"{}\" is the beginning of \"{}\", so its probability holds that one's",
                        label_of(prompt_template, overlap->first), label_of(prompt_template, overlap->second))};
  return {std::move(labels), ""};
}

core::Part<std::vector<CandidateScores>> score_option_labels(dist::Session& session, model::Decoder& decoder,
                                                             const data::Dataset& dataset,
                                                             std::span<const EvalExample> examples,
                                                             std::int64_t max_tokens_per_batch) {
  std::size_t most = 0;
  for (const EvalExample& example : examples) most = std::max(most, example.candidates.size());
  core::Part<Labels> tokens;
  session.together("reading the option labels", [&] { tokens = label_tokens(dataset.info(), most); });
  if (!tokens || most == 0) return {{}, tokens.not_applicable};
  std::vector<data::Item> labels;  // a catalogue whose titles are labels, and examples that choose among them
  for (const auto& label : *tokens) labels.push_back({static_cast<std::uint32_t>(labels.size()), "", "", 0, label});
  std::vector<EvalExample> choices(examples.begin(), examples.end());
  for (EvalExample& choice : choices) {
    choice.eos.reset();
    for (std::size_t j = 0; j < choice.candidates.size(); ++j) choice.candidates[j] = static_cast<std::uint32_t>(j);
  }
  return {score_candidates(session, decoder, dataset, choices, labels, max_tokens_per_batch), ""};
}

}  // namespace allreco::eval
