#include "eval/option_labels.h"

#include <algorithm>

#include "data/prompts/example_encoder.h"
#include "data/prompts/template_rendering.h"

namespace allreco::eval {

namespace {

constexpr std::size_t kNumLetters = 26;

/// Whether each is no beginning of another, so that they exclude each other.
bool are_apart(std::vector<std::vector<data::TokenId>> sequences) {
  std::sort(sequences.begin(), sequences.end());  // what begins with a sequence follows it
  const auto begins = [](const auto& first, const auto& second) {
    return std::mismatch(first.begin(), first.end(), second.begin(), second.end()).first == first.end();
  };
  return std::adjacent_find(sequences.begin(), sequences.end(), begins) == sequences.end();
}

}  // namespace

std::vector<std::vector<data::TokenId>> label_tokens(const data::DatasetInfo& info, std::size_t count) {
  if (info.tokenizer_sha256.empty() || !info.json.contains("template")) return {};
  const data::PromptTemplate prompt_template =
      data::template_of(info.json["template"], (info.directory / "dataset.json").string());
  if (!prompt_template.shows_options() || prompt_template.option_item.find("{label}") == std::string::npos) return {};
  if (prompt_template.option_labels == "letters" && count > kNumLetters) return {};
  const data::Tokenizer tokenizer(info.directory);
  const data::ExampleEncoder encoder(tokenizer, prompt_template, {.add_bos = false, .add_eos = false});
  std::vector<std::vector<data::TokenId>> labels;
  for (std::size_t j = 0; j < count; ++j) labels.push_back(encoder.encode_answer(label_of(prompt_template, j)));
  return are_apart(labels) ? labels : std::vector<std::vector<data::TokenId>>();
}

std::vector<CandidateScores> score_option_labels(dist::Session& session, model::Decoder& decoder,
                                                 const data::Dataset& dataset, std::span<const EvalExample> examples,
                                                 std::int64_t max_tokens_per_batch) {
  std::size_t most = 0;
  for (const EvalExample& example : examples) most = std::max(most, example.candidates.size());
  std::vector<std::vector<data::TokenId>> tokens;
  session.together("reading the option labels", [&] { tokens = label_tokens(dataset.info(), most); });
  if (tokens.empty() || most == 0) return {};
  std::vector<data::Item> labels;  // a catalogue whose titles are labels, and examples that choose among them
  for (const auto& label : tokens) labels.push_back({static_cast<std::uint32_t>(labels.size()), "", "", 0, label});
  std::vector<EvalExample> choices(examples.begin(), examples.end());
  for (EvalExample& choice : choices) {
    choice.eos.reset();
    for (std::size_t j = 0; j < choice.candidates.size(); ++j) choice.candidates[j] = static_cast<std::uint32_t>(j);
  }
  return score_candidates(session, decoder, dataset, choices, labels, max_tokens_per_batch);
}

}  // namespace allreco::eval
