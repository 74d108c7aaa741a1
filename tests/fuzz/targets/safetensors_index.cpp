// A checkpoint in shards: the index, then two of them.
#include "fuzz/target.h"
#include "model/checkpoint/safetensors.h"

namespace allreco::fuzz {

void safetensors_index(Input input) {
  const auto pieces = split(input, 3);
  const Directory directory;
  directory.write("model.safetensors.index.json", pieces[0]);
  directory.write("a.safetensors", as_safetensors(pieces[1]));
  directory.write("b.safetensors", as_safetensors(pieces[2]));
  const model::Checkpoint checkpoint(directory.path());
  for (const std::string& name : checkpoint.names()) checkpoint.tensor(name);
}

}  // namespace allreco::fuzz
