// A dataset directory: dataset.json, items.jsonl, which may also be listed as train_sequences, and a shard. @SHA256@
// and @BYTES@ in dataset.json stand for what the other two have, so that those checks can be passed.
#include "data/store/dataset.h"

#include "core/files.h"
#include "fuzz/target.h"

namespace allreco::fuzz {

void dataset(Input input) {
  const auto pieces = split(input, 3);
  const Directory directory;
  directory.write("items.jsonl", pieces[1]);
  directory.write("shard.h5", pieces[2]);
  const std::string json =
      with(with(pieces[0], "@SHA256@", core::sha256_of_bytes(pieces[1])), "@BYTES@", std::to_string(pieces[2].size()));
  directory.write("dataset.json", json);
  const data::DatasetInfo info = data::read_dataset_info(directory.path());
  data::read_listed_train_sequences(info);
  data::read_catalogue(info);
  if (!data::has_split(info, "train")) return;
  const data::Dataset train(directory.path(), "train", /*verify_checksums=*/false);
  if (train.size() == 0) return;
  train.example(train.size() - 1);
  train.tokens(0);
  train.prompt(0);
  train.num_supervised(0);
}

}  // namespace allreco::fuzz
