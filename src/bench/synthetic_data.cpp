#include "bench/synthetic_data.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/check.h"
#include "core/random.h"
#include "data/store/dataset_writer.h"

namespace allreco::bench {

SyntheticData::SyntheticData(std::int64_t num_examples, std::int64_t length, std::int64_t vocab_size,
                             std::uint64_t seed) {
  std::string pattern = (std::filesystem::temp_directory_path() / "allreco-bench-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr)
    core::user_error("cannot make a directory for random tokens like {}: {}; set TMPDIR to where there is room",
                     pattern, std::strerror(errno));
  parent_ = pattern;
  data::DatasetWriterOptions options;
  options.directory = directory();
  options.vocab_size = vocab_size;
  data::DatasetWriter writer(std::move(options));
  for (std::int64_t i = 0; i < num_examples; ++i) {
    data::Example example;
    core::for_each_below(core::mix_key(seed, {core::key_of("bench"), static_cast<std::uint64_t>(i)}),
                         static_cast<std::uint32_t>(vocab_size), length,
                         [&](std::uint32_t token) { example.tokens.push_back(static_cast<data::TokenId>(token)); });
    writer.append("train", example);
  }
  writer.finish({}, {{"command", "bench"}});
}

SyntheticData::~SyntheticData() {
  std::error_code ignored;
  std::filesystem::remove_all(parent_, ignored);
}

}  // namespace allreco::bench
