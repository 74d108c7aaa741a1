// config.json of a model.
#include "fuzz/target.h"
#include "model/families/config.h"

namespace allreco::fuzz {

void model_config(Input input) {
  const Directory directory;
  directory.write("config.json", input);
  model::to_json(model::read_model_config(directory.path())).dump();
}

}  // namespace allreco::fuzz
