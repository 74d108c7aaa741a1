#include "eval/control.h"

#include <algorithm>
#include <optional>

#include "core/check.h"
#include "core/random.h"
#include "data/prompts/prompt_source.h"
#include "data/store/dataset_writer.h"
#include "eval/eval_example.h"

namespace allreco::eval {

namespace {

/// Replaces the supervised part: its title, and what ended it.
void answer_with(data::Example& example, const data::Item& item, data::TokenId eos_id) {
  const bool ends = example.tokens.back() == eos_id;
  example.tokens.resize(static_cast<std::size_t>(example.prompt_length));
  example.tokens.insert(example.tokens.end(), item.tokens.begin(), item.tokens.end());
  if (ends) example.tokens.push_back(eos_id);
  example.target = item.id;
}

void shuffle_label(data::Example& example, std::int64_t index, const std::vector<data::Item>& catalogue,
                   const data::DatasetInfo& info, const ControlOptions& options) {
  core::RandomStream draw(
      core::mix_key(options.seed, {core::key_of("shuffled_labels"), static_cast<std::uint64_t>(index)}));
  if (options.ranks_catalogue || example.candidates.empty()) {
    example.candidates.clear();
    example.gold.reset();
    answer_with(example, catalogue[draw.next_below(catalogue.size())], info.eos_id);
    return;
  }
  example.gold = static_cast<std::uint8_t>(draw.next_below(example.candidates.size()));
  answer_with(example, catalogue[example.candidates[*example.gold]], info.eos_id);
}

/// Makes prompts anew from what dataset.json and items.jsonl say of them.
class Renderer {
 public:
  Renderer(const data::Dataset& dataset, const std::vector<data::Item>& catalogue)
      : catalogue_(catalogue), source_(dataset.info()) {
    if (!dataset.has_histories())
      core::user_error("{} does not say what its histories hold: prepare the dataset again",
                       dataset.info().directory.string());
  }

  void render(data::Example& example, std::int64_t index, bool with_history) const {
    if (!example.target) core::user_error("example {} does not say what was bought: it has no control", index);
    std::vector<data::ItemText> history;
    if (with_history) history = data::item_texts(example.history, catalogue_);
    if (source_.encoder().encode_history(history, data::item_texts(example.candidates, catalogue_),
                                         catalogue_[*example.target].title, example) == data::Fit::too_long)
      core::user_error("the changed prompt of example {} is longer than the dataset's max_length", index);
    if (with_history) return;
    example.history.clear();  // or rules beside the model would see what it does not
    example.last_item.reset();
  }

 private:
  const std::vector<data::Item>& catalogue_;
  data::PromptSource source_;
};

void rotate_options(data::Example& example) {
  if (example.candidates.empty() || !example.gold) return;
  std::rotate(example.candidates.begin(), example.candidates.end() - 1, example.candidates.end());
  example.gold = static_cast<std::uint8_t>((*example.gold + 1u) % example.candidates.size());
}

core::Json quoted(const data::DatasetInfo& info, const ControlOptions& options) {
  core::Json description = {{"control", options.control}};
  for (const char* key : {"command", "options", "source", "split_method", "template", "candidates"})
    if (info.json.contains(key)) description[key] = info.json[key];
  return description;
}

}  // namespace

void write_control(const data::Dataset& dataset, const ControlOptions& options,
                   const std::filesystem::path& directory) {
  const data::DatasetInfo& info = dataset.info();
  const std::vector<data::Item> catalogue = data::read_catalogue(info);
  if (catalogue.empty()) core::user_error("control = {} needs a dataset with items.jsonl", options.control);
  std::optional<Renderer> renderer;
  if (options.control != "shuffled_labels") renderer.emplace(dataset, catalogue);
  data::DatasetWriter writer({.directory = directory,
                              .tokenizer = info.tokenizer_sha256.empty() ? std::filesystem::path() : info.directory,
                              .tokenizer_sha256 = info.tokenizer_sha256,
                              .vocab_size = info.vocab_size,
                              .bos_id = info.bos_id,
                              .eos_id = info.eos_id});
  const std::int64_t count = num_to_evaluate(dataset, options.max_eval_samples);
  for (std::int64_t i = 0; i < count; ++i) {
    data::Example example = dataset.example(i);
    if (options.control == "rotated_options") rotate_options(example);
    if (renderer)
      renderer->render(example, i, options.control != "blank_history");
    else
      shuffle_label(example, i, catalogue, info, options);
    writer.append(options.split, example);
  }
  writer.finish(catalogue, quoted(info, options));
}

ControlDataset::ControlDataset(dist::Session& session, const data::Dataset& dataset, const ControlOptions& options,
                               std::filesystem::path directory)
    : directory_(std::move(directory)), is_leader_(session.is_leader()) {
  session.together("writing the control", [&] {
    if (!is_leader_) return;
    std::filesystem::remove_all(directory_);  // of a run that was killed
    write_control(dataset, options, directory_);
  });
  session.together("opening the control", [&] {
    dataset_ = std::make_unique<data::Dataset>(directory_, options.split, /*verify_checksums=*/false);
  });
}

ControlDataset::~ControlDataset() {
  dataset_.reset();
  std::error_code ignored;
  if (is_leader_) std::filesystem::remove_all(directory_, ignored);
}

}  // namespace allreco::eval
