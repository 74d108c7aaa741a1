// A shard, as HDF5 and then our reader see it. dataset.json says about it just what the shard says of itself.
#include <algorithm>

#include "data/store/shard_format.h"
#include "data/store/shard_reader.h"
#include "fuzz/target.h"

namespace allreco::fuzz {

void shard(Input input) {
  const Directory directory;
  const auto path = directory.write("shard.h5", input);
  data::DatasetInfo info;
  data::ShardEntry entry{"shard.h5", 0, 0, static_cast<std::int64_t>(input.size()), ""};
  {
    const data::Hdf5Reader file(path);
    info.directory = directory.path();
    info.vocab_size = file.int_attribute("vocab_size");
    info.tokenizer_sha256 = file.string_attribute("tokenizer_sha256");
    info.num_items = 1000;
    info.max_length = entry.bytes;
    entry.examples = static_cast<std::int64_t>(file.place_of("prompt_lengths").shape.at(0));
    entry.tokens = static_cast<std::int64_t>(file.place_of("tokens").shape.at(0));
  }
  const data::ShardReader reader(info, entry, /*verify_checksum=*/false);
  const std::int64_t shown = std::min<std::int64_t>(reader.size(), 64);
  for (std::int64_t i = 0; i < shown; ++i) {
    reader.first_tokens(i, reader.prompt_length(i));
    reader.example(i);
  }
}

}  // namespace allreco::fuzz
