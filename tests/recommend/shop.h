// The example data, prepared once for all tests of this folder, and the model that goes with it.
#pragma once
#include <filesystem>
#include <string>

#include "data/prepare/prepare.h"
#include "data/store/dataset.h"
#include "model/decoder/decoder.h"
#include "model/decoder/weights.h"
#include "support/temporary_directory.h"

namespace allreco::recommend::testing {

inline std::filesystem::path repository(const std::string& relative) {
  return std::filesystem::path(ALLRECO_SOURCE_DIR) / relative;
}

/// A dataset of the gift cards, which goes away with the object.
class Shop {
 public:
  explicit Shop(const std::string& prompt_template, std::int64_t num_candidates, std::int64_t max_length = 512) {
    data::PrepareConfig config;
    config.reviews = repository("examples/gift-cards/reviews.json.gz");
    config.metadata = repository("examples/gift-cards/metadata.json.gz");
    config.tokenizer = repository("examples/stories260k");
    config.prompt_template = prompt_template;
    config.num_candidates = num_candidates;
    config.max_length = max_length;
    config.output_dir = dataset();
    data::prepare(config, "test");
  }
  std::filesystem::path dataset() const { return directory_ / "dataset"; }
  data::DatasetInfo info() const { return data::read_dataset_info(dataset()); }

 private:
  support::TemporaryDirectory directory_;
};

/// Random weights over the vocabulary of stories260k, in float64, so that differences are mistakes, not rounding.
struct SmallModel {
  model::BaseModel base = model::load_base_model(repository("tests/fixtures/golden/llama-tiny"), "float64");
  model::Decoder decoder{base.config, base.weights, nullptr};
};

}  // namespace allreco::recommend::testing
